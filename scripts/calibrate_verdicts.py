"""Simulate how often whole claims are answered falsely, for a table of docs/statistics.md.

python scripts/calibrate_verdicts.py --write

A claim is asked as the project asks it at full: its decisive parts, their questions, controls and numbers of runs, and
its overall rule. Every arm's scores are drawn from those that were kept of it, with the treatment's mean moved to a
true benefit: none, half the margin, the margin and twice it, in the direction that decides; and "one at it", with one
part at the margin and the others three margins away on the side that the claim needs, where "supported" errs most.

Thousands of claims need a faster way than `judge`: `outcomes` decides all simulated claims together, and a test holds
it to `judge` and `overall`. Resamples are drawn only where Welch's interval, which is never wider, decides.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import calibrate_intervals
import numpy as np
from scipy import special

from rlnorm import stats
from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, too_few
from rlnorm.files import write_atomically
from rlnorm.study.claim import Effect, Metric, Question
from rlnorm.study.claim.load import ClaimFile, shipped
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge import Outcome, Sample
from rlnorm.study.judge.evidence import HEADROOM
from rlnorm.study.judge.rules import DECIDED_BY, OPPOSITE
from rlnorm.study.plan import Request
from rlnorm.study.report.csv import samples
from rlnorm.study.report.kept import scores_of
from rlnorm.validation.options import read, typed

COMMAND = "python scripts/calibrate_verdicts.py --write"
# The claims on DQN whose scores are kept, and of the supervised ones those that erred most in a first look.
CLAIMS = ("dqn-ln", "dqn-bn", "dqn-modes", "dqn-no-target", "dqn-joint-batch")
SUPERVISED = ("bn-small-batch", "covariate-shift", "ln-recurrent")
SHAPES = ("normal", "two-peaked")
PARTS = (6, 18)
RUNS = 16
EFFECTS: Mapping[str, float] = {"none": 0.0, "half the margin": 0.5, "the margin": 1.0, "twice it": 2.0}
ONE = "one at it"
CHUNK = 100
SCORE = Metric("score", "higher", "score")
QUESTION = Question(asks="not better", treatment="treatment", reference="reference", margin=0.05)

Array = np.ndarray


@dataclass(frozen=True)
class Part:
    """A decisive part as it is simulated.

    kept  arm -> the scores that new ones are drawn from; of runs that are paired, in the order of their seeds
    runs  new ones an arm
    fair  whether it may decide alone (rule 6)
    """

    question: Question
    metric: Metric
    kept: Mapping[str, Array]
    runs: int
    fair: bool = True

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return 1 if self.metric.better == "higher" else -1

    @property
    def towards(self) -> int:
        """The sign of the benefits whose margin decides: a loss where "no worse" is asked."""
        return -1 if self.question.asks == "non-inferior" else 1

    def drawn(self, rng: np.random.Generator, claims: int, effect: float) -> dict[str, Array]:
        """New scores of each arm, (runs, claims), where the true benefit is so many margins in the direction asked."""
        size = (self.runs, claims)
        shared = rng.integers(min(map(len, self.kept.values())), size=size) if self.question.paired else None
        found = {}
        for arm, kept in self.kept.items():
            at = rng.integers(len(kept), size=size) if shared is None else shared
            found[arm] = kept[at]
        benefit = effect * self.towards * self.question.margin
        treatment, reference = (self.kept[arm].mean() for arm in (self.question.treatment, self.question.reference))
        found[self.question.treatment] += reference - treatment + self.sign * benefit
        return found

    def contrast(self, arms: Mapping[str, Array], arm: str) -> "Contrast":
        """One of the arms against the reference."""
        x, y = (self.sign * arms[name] for name in (arm, self.question.reference))
        return Contrast(x, y, self.question.paired)

    def allowed(self, outcome: Outcome) -> float:
        """The error that a decision for this outcome is allowed on its side (rule 4)."""
        name, if_holds, _ = DECIDED_BY[self.question.asks]
        return 0.05 if outcome == if_holds and name != "benefit_by_margin" else 0.025

    def true(self, effect: float) -> tuple[Outcome, ...]:
        """The answers that are true at this effect: none is at the margin itself."""
        holds = effect > 1 if self.question.asks == "superior" else effect < 1
        return () if effect == 1 else ("supported",) if holds else ("refuted",)


@dataclass(frozen=True)
class Simulated:
    """A claim's decisive parts and its overall rule."""

    name: str
    parts: Sequence[Part]
    rule: str


def asked(name: str) -> Simulated:
    """One of our claims, as it is judged at full, with its kept scores: parts and controls that have some."""
    claim, kept = shipped()[name].claim, samples(scores_of(name))
    request = Request(ClaimFile(name, claim, None), "full")
    names, found = [part for part in request.decisive() if part in kept], list[Part]()
    for part, fair in zip(names, claim.fair(names), strict=True):
        effect = claim.parts[part]
        assert isinstance(effect, Effect)
        assert effect.question.scale == "difference"
        metric = metric_of(effect, effect.metric, effect.experiment.steps["full"])
        scores = (
            _by_seed(kept[part]) if effect.question.paired else {arm: each.scores for arm, each in kept[part].items()}
        )
        controls = ("negative_control", "positive_control")
        without: Any = dict.fromkeys(each for each in controls if getattr(effect.question, each) not in scores)
        found.append(Part(replace(effect.question, **without), metric, scores, request.judged_seeds(effect), fair))
    return Simulated(name, found, claim.overall)


def _by_seed(arms: Mapping[str, Sample]) -> dict[str, Array]:
    """The scores of the seeds that all arms have, in their order."""
    found = {arm: dict(zip(np.asarray(each.seeds).tolist(), each.scores)) for arm, each in arms.items()}
    shared = sorted(set.intersection(*(set(each) for each in found.values())))
    return {arm: np.array([each[seed] for seed in shared]) for arm, each in found.items()}


def made_up(shape: str, parts: int) -> Simulated:
    """A claim whose arms all have scores of the first arm of that family of `calibrate_intervals`."""
    drawn = calibrate_intervals.FAMILIES[shape].x(np.random.default_rng(0), (100_000, 1))[:, 0]
    return Simulated(shape, [Part(QUESTION, SCORE, {"treatment": drawn, "reference": drawn}, RUNS)] * parts, "all")


Ends = tuple[Array, Array]


@dataclass(frozen=True)
class Contrast:
    """The benefit of an arm over the reference in every simulated claim: scores (runs, claims), more is better."""

    arm: Array
    reference: Array
    paired: bool

    def welch(self, level: float) -> Ends:
        """Welch's interval, or Student's of pairs, (claims,) twice: inside the project's own."""
        gains = [self.arm - self.reference] if self.paired else [self.arm, -self.reference]
        theta = sum(each.mean(0) for each in gains)
        parts = [each.var(0, ddof=1) / len(each) for each in gains]
        variance = np.asarray(sum(parts))
        weights = np.asarray(sum(part**2 / (len(each) - 1) for part, each in zip(parts, gains)))
        df = np.divide(variance**2, weights, out=np.ones_like(variance), where=weights > 0)
        half = special.stdtrit(df, (1 + level) / 2) * np.sqrt(variance)
        return theta - half, theta + half

    def estimates(self, claims: Array) -> Iterator[tuple[Array, stats.Estimate]]:
        """These claims, chunk by chunk, each with their estimates as `Evidence.estimate` makes them."""
        for now in (claims[first : first + CHUNK] for first in range(0, len(claims), CHUNK)):
            x, y, rng = self.arm[:, now], self.reference[:, now], np.random.default_rng(0)
            if self.paired:
                yield now, stats.mean(np.sort(x - y, axis=0), rng)
            else:
                yield now, stats.difference(np.sort(x, axis=0), np.sort(y, axis=0), rng)


def decided(question: Question, at95: Ends, at90: Ends) -> Array:
    """1 where the answer that decides the question holds, -1 where it fails, 0 where it is open; (claims,)."""
    m, (low, high), (low90, high90) = question.margin, at95, at90
    holds, fails = {
        "superior": (low > m, high < m),
        "not better": (low > m, high < m),
        "equivalent": ((low90 > -m) & (high90 < m), (low > m) | (high < -m)),
        "non-inferior": (low90 > -m, high < -m),
    }[question.asks]
    return np.where(holds, 1, np.where(fails, -1, 0))


def says(part: Part, arms: Mapping[str, Array], claims: Array, outcome: Outcome, levels: tuple[float, float]) -> Array:
    """Whether the judge gives this outcome, with its 95 and 90 % intervals at `levels`, in each of `claims`."""
    question, (strict, lenient) = part.question, levels
    name, if_holds, rests_on_no_effect = DECIDED_BY[question.asks]
    wanted = 1 if outcome == if_holds else -1
    contrast = part.contrast(arms, question.treatment)
    ends = contrast.welch(strict), contrast.welch(lenient)
    near = claims[decided(question, *ends)[claims] == wanted]
    said, harmful = (np.zeros(len(arms[question.reference][0]), dtype=bool) for _ in range(2))
    for now, found in contrast.estimates(near):
        said[now] = decided(question, found.interval(strict), found.interval(lenient)) == wanted
        harmful[now] = found.interval(0.95)[1] < 0
    if outcome == rests_on_no_effect:
        excused = harmful & (name == "benefit_by_margin")
        asked = np.flatnonzero(said & ~excused)
        said[asked] = sensitive(part, arms, asked)
    return said[claims]


def sensitive(part: Part, arms: Mapping[str, Array], claims: Array) -> Array:
    """Whether an effect could have shown in each of these claims (rule 5): headroom, and every control told apart."""
    question = part.question
    standing = np.array(
        [part.metric.standing(score) or np.nan for score in arms[question.reference][:, claims].mean(0)]
    )
    could = ~((standing < HEADROOM[0]) | (standing > HEADROOM[1]))
    for control, sign in ((question.negative_control, -1), (question.positive_control, 1)):
        if control is not None:
            apart = np.zeros(len(arms[question.reference][0]), dtype=bool)
            contrast = part.contrast(arms, control)
            for now, found in contrast.estimates(claims[could]):
                low, high = found.interval(0.95)
                apart[now] = (high < 0) if sign < 0 else (low > 0)
            could &= apart[claims]
    return could


def outcomes(claim: Simulated, drawn: Sequence[Mapping[str, Array]], chances: int | None = None) -> Array:
    """The overall outcome of every simulated claim, (claims,): "supported", "refuted" or "neither".

    chances  what Holm's correction counts; None: the parts that may decide alone, 1: as if there were no correction
    """
    one: Outcome = "refuted" if claim.rule == "all" else "supported"
    found = np.full(next(iter(drawn[0].values())).shape[1], "neither", dtype=object)
    chances = chances or sum(part.fair for part in claim.parts)
    for part, arms in zip(claim.parts, drawn, strict=True):
        if part.fair:
            # The surest of so many parts decides alone where it does at this level.
            level = 1 - 2 * part.allowed(one) / chances
            left = np.flatnonzero(found == "neither")
            found[left[says(part, arms, left, one, (level, level))]] = one
    left = np.flatnonzero(found == "neither")
    for part, arms in zip(claim.parts, drawn, strict=True):
        left = left[says(part, arms, left, OPPOSITE[one], (0.95, 0.90))]
    found[left] = OPPOSITE[one]
    return found


def effects(claim: Simulated) -> Iterator[tuple[str, list[float], tuple[Outcome, ...]]]:
    """Truths to simulate: a name, the effect of each part, and the answers that are then true."""
    for name, effect in EFFECTS.items():
        of_parts = [part.true(effect) for part in claim.parts]
        one: Outcome = "refuted" if claim.rule == "all" else "supported"
        whole: Outcome = one if (one,) in of_parts else OPPOSITE[one]
        yield name, [effect] * len(claim.parts), () if () in of_parts else (whole,)
    yield ONE, [1.0, *(4.0 if part.question.asks == "superior" else -2.0 for part in claim.parts[1:])], ()


def rows(claim: Simulated, claims: int, seed: int = 0) -> Iterator[str]:
    """The table's rows of one claim, one a truth; answers that are false are bold."""
    for number, (name, at, true) in enumerate(effects(claim)):
        rng = np.random.default_rng([seed, number])
        found = outcomes(claim, [part.drawn(rng, claims, effect) for part, effect in zip(claim.parts, at)])
        cells = []
        for outcome in ("supported", "refuted"):
            percent = f"{100 * float(np.mean(found == outcome)):.1f}"
            cells.append(percent if outcome in true else f"**{percent}**")
        sizes = "-".join(str(each) for each in sorted({part.runs for part in claim.parts}))
        yield f"| {claim.name} | {len(claim.parts)} | {sizes} | {name} | {' | '.join(cells)} |"


def table(simulated: Sequence[Simulated], claims: int) -> str:
    """Every claim at every truth. Prints a line per row as progress."""
    lines = ["| claim | parts | runs | true benefit | supported | refuted |", "|---|---|---|---|---|---|"]
    for claim in simulated:
        for line in rows(claim, claims):
            lines.append(line)
            print(line, flush=True)
    return "\n".join(lines)


def everything() -> list[Simulated]:
    """What the table is made of."""
    return [
        *(asked(name) for name in (*CLAIMS, *SUPERVISED)),
        *(made_up(shape, parts) for shape in SHAPES for parts in PARTS),
    ]


def main(claims: int = 4000, write: bool = False) -> None:
    """Simulate, and print the table or write it.

    Args:
        claims: Simulated claims for each row.
        write: Put the table into docs/statistics.md instead of printing it.
    """
    raise_if_any(too_few({"--claims": claims}))
    made = table(everything(), claims)
    if write:
        doc = calibrate_intervals.DOC
        write_atomically(doc, calibrate_intervals.replace(doc.read_text(encoding="utf-8"), "verdicts", made))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
