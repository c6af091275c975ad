"""Simulate how often intervals at small n hold the true value, for the tables of docs/statistics.md.

python scripts/calibrate_intervals.py --write

Every repetition draws new arms of n runs from known distributions and takes the interval of each method. Repetitions of
one chunk use the same resamples, as all verdicts of one seed do. Chunks are independent.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special
from scipy import stats as distributions

from rlnorm import stats
from rlnorm.cli import guarded
from rlnorm.errors import ConfigError, raise_if_any, too_few
from rlnorm.files import write_atomically
from rlnorm.validation.options import read, typed

DOC = Path(__file__).parents[1] / "docs" / "statistics.md"
COMMAND = "python scripts/calibrate_intervals.py --write"
LEVELS = (0.95, 0.90)
SIZES = (8, 16, 24)
CHUNK = 50

Array = np.ndarray
Rng = np.random.Generator
Ends = tuple[Array, Array]


# -- the methods: (estimate with its resamples, skewness constant, level) -> (low, high)


def percentile(found: stats.Estimate, skew: Array, level: float) -> Ends:
    """Quantiles of theta*."""
    low, high = np.quantile(found.deviation, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return _ends(found, found.theta + low, found.theta + high)


def bca(found: stats.Estimate, skew: Array, level: float) -> Ends:
    """Bias-corrected and accelerated (Efron 1987, JASA 82:171). Each of several arms has its jackknife values."""
    resamples = len(found.deviation)
    below = (found.deviation < 0).mean(axis=0) + (found.deviation == 0).mean(axis=0) / 2
    bias = special.ndtri(np.clip(below, 1 / resamples, 1 - 1 / resamples))
    ordered = np.sort(found.deviation, axis=0)

    def end(z: float) -> Array:
        fraction = special.ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
        rank = np.clip((fraction * resamples).astype(int), 0, resamples - 1)
        return found.theta + np.take_along_axis(ordered, rank[None], axis=0)[0]

    z = float(special.ndtri((1 + level) / 2))
    return _ends(found, end(-z), end(z))


def studentized(found: stats.Estimate, skew: Array, level: float) -> Ends:
    """The studentized bootstrap with the floor on se* alone."""
    below, above = found.studentized(level)
    return _ends(found, found.theta - below * found.se, found.theta + above * found.se)


def welch(found: stats.Estimate, skew: Array, level: float) -> Ends:
    """Welch's t, on the log scale for a ratio."""
    half = found.welch(level) * found.se
    return _ends(found, found.theta - half, found.theta + half)


def chosen(found: stats.Estimate, skew: Array, level: float) -> Ends:
    """The interval of `rlnorm.stats`."""
    return found.interval(level)


METHODS: dict[str, Callable[[stats.Estimate, Array, float], Ends]] = {
    "percentile": percentile,
    "bca": bca,
    "welch": welch,
    "studentized": studentized,
    stats.METHOD: chosen,
}


def _ends(found: stats.Estimate, low: Array, high: Array) -> Ends:
    return (np.exp(low), np.exp(high)) if found.log else (low, high)


def skewness(x: Array, y: Array | None, log: bool) -> Array:
    """BCa's acceleration from influence values L = x - m, or (x - m)/m on the log scale."""
    square, cube = 0.0, 0.0
    for sign, arm in ((1, x), (-1, y)):
        if arm is not None:
            influence = (arm - arm.mean(axis=0)) / (arm.mean(axis=0) if log else 1)
            square = square + (influence**2).sum(axis=0) / len(arm) ** 2
            cube = cube + sign * (influence**3).sum(axis=0) / len(arm) ** 3
    return np.asarray(cube / np.asarray(square) ** 1.5 / 6)


# -- the distributions


@dataclass(frozen=True)
class Family:
    """Two arms of known means. draw: (rng, shape) -> scores."""

    description: str
    x: Callable[[Rng, tuple[int, int]], Array]
    y: Callable[[Rng, tuple[int, int]], Array]
    mean_x: float
    mean_y: float


def _normal(rng: Rng, shape: tuple[int, int], sd: float) -> Array:
    return rng.normal(0.6, sd, shape)


def _lognormal(rng: Rng, shape: tuple[int, int], sigma: float) -> Array:
    return rng.lognormal(0, sigma, shape)


def _peaks(rng: Rng, shape: tuple[int, int], fails: float) -> Array:
    return np.where(rng.random(shape) < fails, 0.15, 0.85) + rng.normal(0, 0.03, shape)


def _lognormal_family(description: str, x: float, y: float) -> Family:
    means = [float(np.exp(sigma**2 / 2)) for sigma in (x, y)]
    return Family(description, partial(_lognormal, sigma=x), partial(_lognormal, sigma=y), means[0], means[1])


def _peaks_family(description: str, x: float, y: float) -> Family:
    return Family(description, partial(_peaks, fails=x), partial(_peaks, fails=y), 0.85 - 0.7 * x, 0.85 - 0.7 * y)


FAMILIES = {
    "normal": Family("sd 0.1; 0.2", partial(_normal, sd=0.1), partial(_normal, sd=0.2), 0.6, 0.6),
    "skewed": _lognormal_family("lognormal, sigma 1; 0.5", 1.0, 0.5),
    "two-peaked": _peaks_family("0.85, or 0.15 in 30 %; 50 % of runs", 0.3, 0.5),
    "rare failure": _peaks_family("0.85, or 0.15 in 10 %; 10 % of runs", 0.1, 0.1),
    "times": _lognormal_family("lognormal, sigma 0.5; 0.3", 0.5, 0.3),
}
CELLS = [
    *(("mean", family) for family in ("normal", "skewed", "two-peaked", "rare failure")),
    *(("difference", family) for family in ("normal", "skewed", "two-peaked", "rare failure")),
    *(("ratio", family) for family in ("times", "skewed")),
]


# -- the simulation


@dataclass(frozen=True)
class Coverage:
    """Fractions of repetitions: the interval holds the true value, is above it, is below it; and the median width."""

    held: float
    above: float
    below: float
    width: float

    def __str__(self) -> str:
        return f"{100 * self.held:.1f} ({100 * self.above:.1f} / {100 * self.below:.1f})"


def cell(
    asks: str, family: str, n: int, repetitions: int, resamples: int, seed: int = 0
) -> dict[tuple[str, float], Coverage]:
    """One cell of the table: (method, level) -> Coverage. `repetitions` is rounded down to whole chunks."""
    rng = np.random.default_rng([seed, CELLS.index((asks, family)), n])
    arms = FAMILIES[family]
    truth = {"mean": arms.mean_x, "difference": arms.mean_x - arms.mean_y, "ratio": arms.mean_x / arms.mean_y}[asks]
    ends: dict[tuple[str, float], list[Array]] = {(method, level): [] for method in METHODS for level in LEVELS}
    for _ in range(repetitions // CHUNK):
        x, y = arms.x(rng, (n, CHUNK)), arms.y(rng, (n, CHUNK))
        if asks == "mean":
            found, skew = stats.mean(x, rng, resamples), skewness(x, None, log=False)
        else:
            compare = stats.ratio if asks == "ratio" else stats.difference
            found, skew = compare(x, y, rng, resamples), skewness(x, y, log=asks == "ratio")
        for method, level in ends:
            ends[method, level].append(np.stack(METHODS[method](found, skew, level)))
    return {key: _coverage(np.concatenate(pairs, axis=1), truth) for key, pairs in ends.items()}


def _coverage(ends: Array, truth: float) -> Coverage:
    low, high = ends
    above, below = float((low > truth).mean()), float((high < truth).mean())
    return Coverage(1 - above - below, above, below, float(np.median(high - low)))


def rows(asks: str, family: str, n: int, repetitions: int, resamples: int) -> Iterator[str]:
    """The table's rows of one cell, one per level."""
    found = cell(asks, family, n, repetitions, resamples)
    for level in LEVELS:
        entries = [str(found[method, level]) for method in METHODS]
        width = found[stats.METHOD, level].width / found["welch", level].width
        yield f"| {asks} | {family} | {n} | {100 * level:.0f} | {' | '.join(entries)} | {width:.2f} |"


def main_table(repetitions: int, resamples: int) -> str:
    """All methods in all cells. Prints a line per cell as progress."""
    methods = " | ".join(f"`{method}`" for method in METHODS)
    lines = [
        f"| of | scores | n | level | {methods} | width |",
        "|---|---|---|---|" + "---|" * (len(METHODS) + 1),
    ]
    for asks, family in CELLS:
        for n in SIZES:
            lines += rows(asks, family, n, repetitions, resamples)
            print(lines[-2], flush=True)
    return "\n".join(lines)


def proportion_table() -> str:
    """Exact coverage of the difference of two proportions: the sum over all pairs of counts."""
    lines = ["| proportions | n | 95 % | 90 % |", "|---|---|---|---|"]
    for p, q in ((0.05, 0.05), (0.1, 0.3), (0.3, 0.5), (0.5, 0.5)):
        for n in SIZES:
            chance = np.outer(*(distributions.binom.pmf(np.arange(n + 1), n, each) for each in (p, q)))
            held = []
            for level in LEVELS:
                counts = [(a, b) for a in range(n + 1) for b in range(n + 1)]
                pairs = [(a, b, stats.proportion_difference(a, n, b, n, level)) for a, b in counts]
                held.append(100 * sum(chance[a, b] for a, b, found in pairs if found.low <= p - q <= found.high))
            lines.append(f"| {p:g}, {q:g} | {n} | {held[0]:.1f} | {held[1]:.1f} |")
    return "\n".join(lines)


def improvement_table(repetitions: int) -> str:
    """Coverage of P(X > Y): normal arms shifted by half, one and two sd, and two-peaked arms."""
    lines = ["| scores | P(X > Y) | n | 95 % | 90 % |", "|---|---|---|---|---|"]
    cases: list[tuple[str, float, Callable[[Rng, int], tuple[Array, Array]]]] = [
        ("normal", float(special.ndtr(shift / np.sqrt(2))), partial(_shifted, shift=shift)) for shift in (0.5, 1.0, 2.0)
    ]
    # Between runs of the same peak noise decides: 1/2.
    same_peak = 0.7 * 0.5 + 0.3 * 0.5
    cases.append(("two-peaked", 0.7 * 0.5 + same_peak / 2, _two_peaked))
    for number, (name, truth, draw) in enumerate(cases):
        for n in SIZES:
            rng = np.random.default_rng([1, number, n])
            held = np.zeros(len(LEVELS))
            for _ in range(repetitions):
                x, y = draw(rng, n)
                found = [stats.probability_of_improvement(x, y, level) for level in LEVELS]
                held += [interval.low <= truth <= interval.high for interval in found]
            entries = " | ".join(f"{100 * fraction:.1f}" for fraction in held / repetitions)
            lines.append(f"| {name} | {truth:.3f} | {n} | {entries} |")
    return "\n".join(lines)


def _shifted(rng: Rng, n: int, shift: float) -> tuple[Array, Array]:
    return rng.normal(shift, 1, n), rng.normal(0, 1, n)


def _two_peaked(rng: Rng, n: int) -> tuple[Array, Array]:
    return _peaks(rng, (n, 1), 0.3)[:, 0], _peaks(rng, (n, 1), 0.5)[:, 0]


def _correlated(rng: Rng, n: int, shift: tuple[float, float]) -> Array:
    """Two scores of each run that go along with each other, both of standard deviation 1, (n, 2)."""
    first, own = rng.normal(size=(2, n))
    return np.stack([first, 0.6 * first + 0.8 * own], 1) + shift


COMPARED: dict[tuple[str, str], tuple[float, Callable[[Rng, int, int], stats.Estimate]]] = {
    ("spread", "normal"): (
        2.0,
        lambda rng, n, b: stats.spread_ratio(rng.normal(0, 2, n), rng.normal(0, 1, n), rng, b),
    ),
    ("spread", "lognormal 0.5"): (
        1.0,
        lambda rng, n, b: stats.spread_ratio(rng.lognormal(0, 0.5, n), rng.lognormal(0, 0.5, n), rng, b),
    ),
    ("standardized", "normal, 0 and 0"): (
        0.0,
        lambda rng, n, b: stats.effect_difference(_correlated(rng, n, (0, 0)), _correlated(rng, n, (0, 0)), rng, b),
    ),
    ("standardized", "normal, 1 and 0"): (
        1.0,
        lambda rng, n, b: stats.effect_difference(_correlated(rng, n, (1, 0)), _correlated(rng, n, (0, 0)), rng, b),
    ),
}
"""(of, scores) -> the truth, and the estimate of new arms of n runs with so many resamples."""


def compared_table(repetitions: int, resamples: int) -> str:
    """Coverage of ratios of spreads and of differences of standardized effects."""
    lines = ["| of | scores | n | 95 % | 90 % |", "|---|---|---|---|---|"]
    for number, ((of, scores), (truth, draw)) in enumerate(COMPARED.items()):
        for n in SIZES:
            rng = np.random.default_rng([2, number, n])
            held = np.zeros(len(LEVELS))
            for _ in range(repetitions):
                found = draw(rng, n, resamples)
                ends = [found.interval(level) for level in LEVELS]
                held += [bool(low <= truth <= high) for low, high in ends]
            entries = " | ".join(f"{100 * fraction:.1f}" for fraction in held / repetitions)
            lines.append(f"| {of} | {scores} | {n} | {entries} |")
    return "\n".join(lines)


def replace(text: str, name: str, table: str) -> str:
    """The text with `table` between the markers of that name. Raises ConfigError unless there is one pair of them."""
    pattern = rf"(<!-- {name}: .*?-->\n).*?(\n<!-- end of {name} -->)"
    new, found = re.subn(pattern, lambda match: match[1] + table + match[2], text, flags=re.DOTALL)
    if found != 1:
        raise ConfigError(f"the page needs one pair of markers {name!r}, got {found}.")
    return new


def main(repetitions: int = 10_000, resamples: int = 2_000, write: bool = False) -> None:
    """Simulate, and print the tables or write them.

    Args:
        repetitions: Simulated comparisons per cell; a fifth of them for P(X > Y), spreads and standardized effects.
        resamples: Bootstrap resamples; a quarter of them for spreads and standardized effects.
        write: Put the tables into docs/statistics.md instead of printing them.
    """
    few = f"--repetitions must be at least {CHUNK}, the size of a chunk, got {repetitions}."
    raise_if_any([*([few] if repetitions < CHUNK else []), *too_few({"--resamples": resamples})])
    tables = {
        "coverage": main_table(repetitions, resamples),
        "proportions": proportion_table(),
        "improvement": improvement_table(repetitions // 5),
        "compared": compared_table(repetitions // 5, resamples // 4),
    }
    if write:
        text = DOC.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replace(text, name, table)
        write_atomically(DOC, text)
    else:
        print("\n\n".join(tables.values()))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
