"""How records become scores: what a metric is made of, and how one run's scores at several points become one.

A run is one member of a unit. Where it is no longer finite it scores as random from the record on at which it was found
(rule 2), so its numbers after that are never read.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from rlnorm import stats
from rlnorm.study.claim.declare import Record
from rlnorm.study.claim.question import Metric

Records = Sequence[Record]
T = TypeVar("T")
PROBES = "norm/"
Score = Callable[[Records, Mapping[str, Any], int], float]


class Recorded(tuple[Record, ...]):
    """The records of a finished unit, with what was made of them so far: its members are scored one after the other."""

    def once(self, name: Hashable, make: Callable[["Recorded"], T]) -> T:
        """What `make` gives for them, made once under that name. Not to be changed in place."""
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}


def _once(records: Records, name: Hashable, make: Callable[[Records], T]) -> T:
    return records.once(name, make) if isinstance(records, Recorded) else make(records)


def unfold(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its probes beside the rest, each under the name of its tag: norm/<layer>/<probe>."""
    found = record.get("probes", {}).items()
    tags = {f"{PROBES}{layer}/{name}": values for layer, probes in found for name, values in probes.items()}
    return {**record, **tags}


def unfolded(records: Records) -> Records:
    """All records with their probes beside the rest, as `unfold` gives them."""
    return _once(records, "unfolded", lambda found: Recorded(map(unfold, found)))


def series(records: Records, key: str, member: int) -> np.ndarray:
    """One member's values over the records, (T,); NaN where there is none."""
    column = _column(records, key)
    return (column[:, member] if column.ndim == 2 else column).copy()


def _column(records: Records, key: str) -> np.ndarray:
    """All members' values over the records, (T, members); (T,) where they share them."""
    return _once(records, ("column", key), lambda found: _as_array([record.get(key) for record in found]))


def _as_array(values: Sequence[Any]) -> np.ndarray:
    members = max((len(value) for value in values if isinstance(value, list)), default=None)
    if members is not None:
        values = [value if isinstance(value, list) else [value] * members for value in values]
    return np.array(values, dtype=float)


def carried(values: np.ndarray, start: float) -> np.ndarray:
    """NaNs replaced by the last value before them, or by `start`; (T,)."""
    return stats.forward_filled(np.concatenate([[start], values]))[1:]


def non_finite_at(records: Records, member: int) -> int:
    """Index of the first record at which loss, Q or parameters had become non-finite; the number of records if never.

    From there on a run scores as random (rule 2): it has no returns of its own that mean anything.
    """
    ends = _once(records, "non-finite at", _non_finite_at)
    return int(ends[member] if ends.ndim else ends)


def _non_finite_at(records: Records) -> np.ndarray:
    flags = _column(records, "diverged") > 0
    return np.where(flags.any(0), flags.argmax(0) if len(flags) else 0, len(flags))


def diverged_at(records: Records, member: int) -> int:
    """Index of the record from which on the run had diverged; the number of records if it never did.

    It has diverged where it is non-finite, or where |Q| was beyond the limit in every update from then to the end.
    Where only |Q| was, the returns that came are scored.
    """
    if not _once(records, "ever beyond", lambda found: bool((_column(found, "beyond") >= 1).any())):
        return non_finite_at(records, member)
    beyond = carried(series(records, "beyond", member), 0.0) >= 1
    within = np.flatnonzero(~beyond)
    to_the_end = int(within[-1]) + 1 if len(within) else 0
    return min(to_the_end, non_finite_at(records, member))


@dataclass(frozen=True)
class Scored:
    """A metric and how a run's records give it.

    of_budget: scores are steps, so that the whole budget (never reached) is the floor and no step the ceiling.
    probe: the one whose values it is made of; None: it is made of what all records hold.
    """

    metric: Metric
    score: Score
    of_budget: bool = False
    probe: str | None = None


def probed(
    metric: Metric,
    probe: str,
    read: Callable[[np.ndarray, Mapping[str, Any]], np.ndarray],
    when: slice = slice(1, None),
) -> Scored:
    """A metric that is the mean over training of what `read` makes of a probe and the settings.

    `read` is given its values at every layer that has it, in the order of the network: (layers, times) -> (times,).
    Left out are what is not finite and the first time: it comes with the first update, before anything was learned and
    while running statistics are those that a norm is made with. `when` chooses other times (claims about the start). A
    diverged run has the metric's random value from divergence on, or the worst of its own where there is none (NaN,
    no score, where it has none either).
    """
    worst = np.max if metric.better == "lower" else np.min

    def probes(records: Records) -> tuple[list[int], Records, list[str]]:
        """Where they were taken, the records there, and the tags of this one."""
        at = [i for i, record in enumerate(records) if "probes" in record][when]
        rows = Recorded(unfolded(records)[i] for i in at)
        tags = [tag for row in rows for tag in row if tag.startswith(PROBES) and tag.endswith(f"/{probe}")]
        return at, rows, [*dict.fromkeys(tags)]

    def score(records: Records, settings: Mapping[str, Any], member: int) -> float:
        at, rows, tags = _once(records, (probe, when.start, when.stop), probes)
        found = np.array([series(rows, tag, member) for tag in tags])
        values = read(found, settings) if tags else np.full(len(at), np.nan)
        sound = np.array(at) < non_finite_at(records, member)
        known = values[sound & np.isfinite(values)]
        lost = metric.random if metric.random is not None else worst(known) if len(known) else np.nan
        return float(np.append(known, np.full((~sound).sum(), lost)).mean()) if len(known) else float(lost)

    return Scored(metric, score, probe=probe)


def _slope(values: np.ndarray) -> float:
    """Slope of least squares, per step from one point to the next."""
    at = np.arange(len(values)) - (len(values) - 1) / 2
    return float(at @ values / (at @ at))


NEAR = 0.05  # how far from the best a point may score to count as near it, as a fraction of the best

SUMMARIES: Mapping[str, Callable[[np.ndarray], float]] = {
    "mean": lambda values: float(values.mean()),
    "range": lambda values: float(np.ptp(values)),
    "slope": _slope,
    "near best": lambda values: float((values >= (1 - NEAR) * values.max()).mean()),
}
"""Scores of one run at all points, (points,), in the part's order -> the run's score."""


def summary_metric(metric: Metric, summary: str) -> Metric:
    """What the summary of a metric over several points is."""
    if summary == "mean":
        return metric
    if summary == "near best":
        return Metric(f"{metric.name}, {summary}", "higher", f"fraction of points within 5 % of the best {metric.unit}")
    if summary == "range":
        return Metric(f"{metric.name}, {summary}", "lower", f"range over the points of {metric.unit}")
    return Metric(f"{metric.name}, {summary}", metric.better, f"change per point of {metric.unit}")
