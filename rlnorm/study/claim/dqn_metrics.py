"""What the records of a DQN run say of divergence, of finding the goal, and of learning apart from finding it.

Pure functions of records; settings are those of a run, defaults filled in. Records of other engines and older ones have
no `beyond` and no `first_success`: such a run has been beyond the limit at no time, and its first success is not known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlnorm import stats
from rlnorm.tasks.environments import SCALES

Records = Sequence[Mapping[str, Any]]


def series(records: Records, key: str, member: int) -> np.ndarray:
    """One member's values over the records, (T,); NaN where there is none."""
    values = [record.get(key) for record in records]
    return np.array([v[member] if isinstance(v, list) else v for v in values], dtype=float)


def carried(values: np.ndarray, start: float) -> np.ndarray:
    """NaNs replaced by the last value before them, or by `start`; (T,)."""
    return stats.forward_filled(np.concatenate([[start], values]))[1:]


def non_finite_at(records: Records, member: int) -> int:
    """Index of the first record at which loss, Q or parameters had become non-finite; the number of records if never.

    From there on a run scores as random (rule 2): it has no returns of its own that mean anything.
    """
    flags = series(records, "diverged", member) > 0
    return int(flags.argmax()) if flags.any() else len(records)


def diverged_at(records: Records, member: int) -> int:
    """Index of the record from which on the run had diverged; the number of records if it never did.

    It has diverged where it is non-finite, or where |Q| was beyond the limit in every update from then to the end.
    Where only |Q| was, the returns that came are scored.
    """
    beyond = carried(series(records, "beyond", member), 0.0) >= 1
    within = np.flatnonzero(~beyond)
    to_the_end = int(within[-1]) + 1 if len(within) else 0
    return min(to_the_end, non_finite_at(records, member))


def excursion(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The fraction of a run's time that |Q| was beyond the limit, before the run diverged if it did.

    Records without an update count as the last one that has some; 0 where there was no time before.
    """
    beyond = carried(series(records, "beyond", member), 0.0)[: diverged_at(records, member)]
    return float(beyond.mean()) if len(beyond) else 0.0


def normalized_curve(records: Records, settings: Mapping[str, Any], member: int) -> np.ndarray:
    """Training returns on the environment's scale (0 random, 1 solved), (T,).

    A value is the mean return of the episodes that ended between two records. Where none did, the last one stands, and
    before the first the random policy's. Returns of runs beyond the limit of |Q| are scored as they came; from where a
    run is non-finite on the curve is 0. Only environments in `SCALES` have a scale.
    """
    scale = SCALES[settings["env"]]
    curve = scale.normalize(carried(series(records, "return", member), scale.random))
    curve[non_finite_at(records, member) :] = 0.0
    return curve


def return_auc(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Area under the training-return curve: the mean of `normalized_curve` over the budget."""
    return float(normalized_curve(records, settings, member).mean())


def return_auc_after_assistance(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The same over what comes after the assisted part (`assisted`) of the budget, or over all of it without one.

    The episodes that a rule drives are in no return. Where nothing comes after that part, the last record counts.
    """
    steps = series(records, "step", member)
    after = steps > settings.get("assisted", 0.0) * steps[-1]
    after[-1] = True
    return float(normalized_curve(records, settings, member)[after].mean())


def final_score(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The greedy return at the end, on the environment's scale; 0 for a run that is non-finite.

    It is what agents on a fixed replay set (`offline`) are scored by: they have no training returns.
    """
    if non_finite_at(records, member) < len(records):
        return 0.0
    final = series(records, "final_return", member)[-1:]
    return float(SCALES[settings["env"]].normalize(final)[0])


def first_success(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Environment steps until an episode first met the goal (`Scale.success`); the whole budget where none did.

    The score is a step count: the full budget is worst, 0 is best. `found` tells a success at the last step from none.
    """
    step = series(records, "first_success", member)[-1]
    return float(records[-1]["step"] if np.isnan(step) else step)


def found(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """1 if an episode ever met the goal, else 0."""
    return float(not np.isnan(series(records, "first_success", member)[-1]))
