"""The tables of docs/results/why.md, made from the rows of its experiments.

Intervals are those of `rlnorm.stats`, 95 %, by whole runs. Differences between arms are of independent runs; between
two measurements of the same agents they are of pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlnorm import stats
from rlnorm.study.report import markdown

Row = Mapping[str, Any]
Measured = tuple[str, str]
"""An arm, and the name of a number in its rows."""


@dataclass(frozen=True)
class Table:
    """Two tables: the means of `shown` (name of a number -> its heading), and `differences` (name -> first, second)."""

    shown: Mapping[str, str]
    differences: Mapping[str, tuple[Measured, Measured]]
    arms: Sequence[str] = field(default=())


OF_RUNS = ("met",)
"""Numbers that are 0 or 1 in a run: their mean is a proportion, with Wilson's interval."""
REACHED = {0: "met, untrained", 300: "met, 300 updates", 1000: "met, 1 000 updates"}
LATE = "reached 1000"
TABLES: Mapping[str, Table] = {
    "finding": Table(
        {**{f"reached {k}": head for k, head in REACHED.items()}, "repeats 1000": "repeats", "pumps 1000": "pumps"},
        {
            "LN less none, untrained": (("LN", "reached 0"), ("none", "reached 0")),
            "LN less none, 300 updates": (("LN", "reached 300"), ("none", "reached 300")),
            "LN less none, 1 000 updates": (("LN", LATE), ("none", LATE)),
            "LN in the first layer less none, 1 000 updates": (("LN, first layer", LATE), ("none", LATE)),
            "LN in the last layer less none, 1 000 updates": (("LN, last layer", LATE), ("none", LATE)),
            "BN less none, 1 000 updates": (("BN", LATE), ("none", LATE)),
            **{
                f"BN, {way} less running, 1 000 updates": ((f"BN, {way}", LATE), ("BN", LATE))
                for way in (
                    "ten together",
                    "fifty together",
                    "ten of the replay",
                    "statistics of the replay",
                    "statistics of its own states",
                )
            },
        },
    ),
    "optimism": Table(
        {"reached": "met", "value": "value", "above": "unseen less seen"},
        {
            **{
                f"met: {arm}, reward -1 less 1": ((f"{arm}, reward -1", "reached"), (f"{arm}, reward 1", "reached"))
                for arm in ("none", "LN", "LN, first layer", "LN, last layer")
            },
            "met: none, reward -1 less 0": (("none, reward -1", "reached"), ("none, reward 0", "reached")),
            **{
                f"reward -1, unseen less seen: {arm} less none": (
                    (f"{arm}, reward -1", "above"),
                    ("none, reward -1", "above"),
                )
                for arm in ("LN", "LN, first layer", "LN, last layer")
            },
        },
    ),
    "tandem": Table(
        {"score": "mean score", "area": "area, training", "first success": "steps to first success"},
        {
            "acting and learning: LN less none": (
                ("LN acts and learns", "score"),
                ("none acts and learns", "score"),
            ),
            "learning from what none does: LN less none": (
                ("none acts, LN learns", "score"),
                ("none acts, none learns", "score"),
            ),
            "learning from what LN does: LN less none": (
                ("LN acts, LN learns", "score"),
                ("LN acts, none learns", "score"),
            ),
            "none learns: from what LN does less from what none does": (
                ("LN acts, none learns", "score"),
                ("none acts, none learns", "score"),
            ),
            "LN learns: from what LN does less from what none does": (
                ("LN acts, LN learns", "score"),
                ("none acts, LN learns", "score"),
            ),
            "steps to first success, LN less none": (
                ("LN acts and learns", "first success"),
                ("none acts and learns", "first success"),
            ),
        },
    ),
    "pace": Table(
        {"score": "mean score", "score, 4000": "4 000", "score, 8000": "8 000", "score, 20000": "20 000"},
        {
            **{
                f"LN, rate {rate}, less none": ((f"LN, rate {rate}", "score"), ("none", "score"))
                for rate in ("0.001", "0.004", "0.016")
            },
            **{
                f"LN, rate {rate}, less LN, rate 0.001": ((f"LN, rate {rate}", "score"), ("LN, rate 0.001", "score"))
                for rate in ("0.004", "0.016")
            },
        },
    ),
    "hidden": Table(
        {"met": "met the goal", "first success": "steps to first success"},
        {
            f"steps to first success: {arm} less {other}": ((arm, "first success"), (other, "first success"))
            for arm, other in (
                ("acting alone", "supervised"),
                ("learning alone", "supervised"),
                ("naive", "supervised"),
                ("acting alone", "naive"),
                ("learning alone", "naive"),
            )
        },
    ),
    "target": Table(
        {
            f"reached {updates}, {way}": f"met, {head} updates, {way}"
            for updates, head in ((300, "300"), (1000, "1 000"))
            for way in ("running", "ten together")
        },
        {
            f"learning alone less supervised, {head} updates, {way}": (
                ("learning alone", f"reached {updates}, {way}"),
                ("supervised", f"reached {updates}, {way}"),
            )
            for updates, head in ((300, "300"), (1000, "1 000"))
            for way in ("running", "ten together")
        },
    ),
    "shown": Table(
        {
            "area": "area",
            "score, running": "end, running",
            "score, ten together": "end, ten together",
            "score, fifty together": "end, fifty together",
        },
        {
            **{
                f"area: {arm} less supervised": ((arm, "area"), ("supervised", "area"))
                for arm in ("acting alone", "learning alone", "naive")
            },
            "area: naive less learning alone": (("naive", "area"), ("learning alone", "area")),
            **{
                f"end, {arm}: fifty less ten together": ((arm, "score, fifty together"), (arm, "score, ten together"))
                for arm in ("acting alone", "naive")
            },
            "end, supervised: ten together less running": (
                ("supervised", "score, ten together"),
                ("supervised", "score, running"),
            ),
        },
    ),
    "ending": Table(
        {
            "first quarter": "return, first quarter",
            "last tenth": "return, last tenth",
            "score, end": "greedy, end",
            "changed, as before": "greedy actions changed",
            "changed, a tenth of the rate": "the same, a tenth of the rate",
            "length": "length of weights",
        },
        {
            "first quarter: BN less none": (("BN", "first quarter"), ("none", "first quarter")),
            "last tenth: BN less none": (("BN", "last tenth"), ("none", "last tenth")),
            "greedy, end: BN less none": (("BN", "score, end"), ("none", "score, end")),
            **{
                f"BN, end: {way} less running": (("BN", f"score, {way}"), ("BN", "score, end"))
                for way in ("ten together", "statistics of the replay", "statistics of its own states")
            },
            **{
                f"{arm}, 2 000 more updates: {kind} less as before": (
                    (arm, f"score, {kind}"),
                    (arm, "score, as before"),
                )
                for arm in ("none", "BN")
                for kind in ("a tenth of the rate", "broad replay")
            },
            "a tenth of the rate: BN less none": (
                ("BN", "score, a tenth of the rate"),
                ("none", "score, a tenth of the rate"),
            ),
        },
    ),
    "fixed": Table(
        {
            "score, 10000": "10 000",
            "score, 20000": "20 000",
            "score, 50000": "50 000",
            "score, end": "end",
            "peak": "peak",
            "changed, as before": "greedy actions changed",
        },
        {
            **{f"end: {arm} less none": ((arm, "score, end"), ("none", "score, end")) for arm in ("LN", "BN")},
            **{f"peak: {arm} less none": ((arm, "peak"), ("none", "peak")) for arm in ("LN", "BN")},
            **{
                f"BN, end: {way} less running": (("BN", f"score, {way}"), ("BN", "score, end"))
                for way in ("statistics of the replay", "statistics of its own states")
            },
            **{
                f"{arm}, 2 000 more updates: a tenth of the rate less as before": (
                    (arm, "score, a tenth of the rate"),
                    (arm, "score, as before"),
                )
                for arm in ("none", "LN", "BN")
            },
        },
    ),
}


def tables(name: str, rows: Sequence[Row]) -> str:
    """Both tables of an experiment as Markdown."""
    table = TABLES[name]
    means = [
        (arm, *(_mean(rows, (arm, number)) for number in table.shown)) for arm in dict.fromkeys(r["arm"] for r in rows)
    ]
    apart = [(what, *_difference(rows, *pair)) for what, pair in table.differences.items()]
    return "\n".join(
        [
            *markdown.table(("arm", *table.shown.values()), means),
            "",
            *markdown.table(("difference", "estimate", "95 % interval"), apart),
        ]
    )


def values(rows: Sequence[Row], what: Measured) -> np.ndarray:
    """A number in every run of an arm, in the order of the seeds; empty where its rows have none."""
    arm, number = what
    of = sorted((row["seed"], row[number]) for row in rows if row["arm"] == arm and number in row)
    return np.array([value for _, value in of])


def _mean(rows: Sequence[Row], what: Measured) -> str:
    found = values(rows, what)
    if not len(found):
        return ""
    if what[1] in OF_RUNS:
        three = stats.wilson(int(found.sum()), len(found))
    else:
        estimate = stats.mean(found, np.random.default_rng(0))
        three = estimate.value, *estimate.interval()
    return "{} [{}, {}]".format(*_numbers(three))


def _difference(rows: Sequence[Row], first: Measured, second: Measured) -> Iterator[str]:
    x, y, rng = values(rows, first), values(rows, second), np.random.default_rng(0)
    estimate = stats.mean(x - y, rng) if first[0] == second[0] else stats.difference(x, y, rng)
    value, low, high = _numbers((estimate.value, *estimate.interval()), "+")
    yield value
    yield f"[{low}, {high}]"


def _numbers(three: Sequence[Any], sign: str = "") -> list[str]:
    """Three digits behind the point for fractions and scores; steps are whole."""
    digits = 0 if max(map(abs, three)) >= 100 else 3
    return [f"{value:{sign}.{digits}f}" for value in three]
