"""Checks of running statistics: whether they are numbers, and those of the data."""

from typing import Any

from torch import nn

from rlnorm.doctor import behaviour
from rlnorm.doctor.copies import state
from rlnorm.doctor.findings import Found, Threshold, Unmade
from rlnorm.doctor.subject import Subject, join, within
from rlnorm.nn.state import counter_of, is_per_sample

# What sound agents had: the largest numbers that scripts/calibrate_doctor.py printed.
FAR = Threshold(
    2.0,
    "running standard deviations, median over units",
    "trained DQN, SAC, TD3, PPO and A2C had up to 0.2 on what they stored and 0.8 on new steps",
)
"""Between the running mean and the mean of the data."""
WIDE = Threshold(
    4.0, "times, median over units", "the same agents had up to 1.1 on what they stored and 2.0 on new steps"
)
"""Between the running standard deviation and that of the data, either way."""
WARM = Threshold(0.05, "fraction of the start in an average", "above it statistics are still on their way from 0 and 1")


def poisoned(subject: Subject) -> Found:
    """Statistics that are not finite."""
    for path, norm in subject.norms.items():
        for name, buffer in state(norm).items():
            bad = int((~buffer.isfinite()).sum())
            if bad:
                yield join(path, name), f"{bad} of {buffer.numel()} values are not finite"


def statistics_far(subject: Subject) -> Found:
    """Running statistics that are not those of the data that reach the norm while acting.

    Raises Unmade where it is not known for a norm how far its statistics have come from their first values.
    """
    untrained = subject.algorithm is None or not subject.algorithm._n_updates
    unknown: list[str] = []
    for path, norm in subject.trace.norms.items():
        running = behaviour.statistics(norm)
        if not running or within(path, subject.targets) or is_per_sample(norm):
            continue
        fresh = all(behaviour.as_constructed(norm, name, x) for name, x in running.items())
        left = _fraction_of_start(norm)
        if (fresh and untrained) or (not fresh and left is not None and left > WARM.value):
            continue
        apart, ratio = behaviour.gap(norm, subject.trace.calls[path].x)
        said = []
        if apart > FAR.value:
            said.append(f"the data's mean is {apart:.2g} running standard deviations away")
        if ratio > WIDE.value:
            said.append(f"their standard deviation differs by a factor of {ratio:.2g}")
        if said and left is None and not fresh:
            unknown.append(path)
        elif said:
            yield path, f"{' and '.join(said)} (medians over units){'; never updated' * fresh}"
    if unknown:
        raise Unmade(f"{', '.join(unknown)} keeps no momentum and count, so its statistics may be on their way")


def _fraction_of_start(norm: nn.Module) -> float | None:
    """How much of their first values is left in averages; None for norms without a momentum or a count of updates.

    The cumulative average, momentum None, keeps nothing.
    """
    counter = counter_of(norm)
    single = [x for name, x in state(norm).items() if x.numel() == 1 and not behaviour.role(name)]
    counts = [x.item() for x in (single if counter is None else [counter])]
    if not counts or not hasattr(norm, "momentum"):
        return None
    momentum: Any = norm.momentum
    return max((1 - momentum) ** count for count in counts) if momentum else 0.0
