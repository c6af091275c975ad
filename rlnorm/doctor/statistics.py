"""Checks of running statistics: whether they are numbers, and those of the data."""

from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from rlnorm.doctor import behaviour, trace
from rlnorm.doctor.findings import Found, Threshold
from rlnorm.doctor.subject import Subject, join, within
from rlnorm.nn import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d

START = {"running_mean": 0.0, "running_var": 1.0, "running_std": 1.0}
INSTANCE = (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, _InstanceNorm)
"""Their statistics are averages over single samples, not those of the data."""
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
WARM = Threshold(0.05, "share of the start in an average", "above it statistics are still on their way from 0 and 1")


def poisoned(subject: Subject) -> Found:
    """Statistics that are not finite."""
    for path, norm in subject.norms():
        for name, buffer in norm.named_buffers(recurse=False):
            bad = int((~buffer.isfinite()).sum())
            if bad:
                yield join(path, name), f"{bad} of {buffer.numel()} values are not finite"


def statistics_far(subject: Subject) -> Found:
    """Running statistics that are not those of what reaches the norm while acting."""
    untrained = subject.algorithm is None or not subject.algorithm._n_updates
    for path, norm in trace.norms(subject.acting):
        args = subject.trace.inputs.get(path)
        if args is None or within(path, subject.targets) or isinstance(norm, INSTANCE):
            continue
        statistics = {name: b for name, b in norm.named_buffers(recurse=False) if b.is_floating_point()}
        fresh = all(as_constructed(name, b) for name, b in statistics.items() if name in START)
        if (fresh and untrained) or (not fresh and _share_of_start(norm) > WARM.value):
            continue
        apart, ratio = behaviour.gap(norm, args[0])
        said = []
        if apart > FAR.value:
            said.append(f"the data's mean is {apart:.2g} running standard deviations away")
        if ratio > WIDE.value:
            said.append(f"their standard deviation differs by a factor of {ratio:.2g}")
        if said:
            yield path, f"{' and '.join(said)} (medians over units){'; never updated' * fresh}"


def as_constructed(name: str, buffer: Tensor) -> bool:
    """Whether a statistic of that name still has its first values."""
    start = START.get(name)
    return start is not None and bool((buffer == start).all())


def _share_of_start(norm: nn.Module) -> float:
    """How much of their first values is left in averages, where norms count their updates."""
    momentum = getattr(norm, "momentum", None)
    counts = [getattr(norm, name, None) for name in ("num_batches_tracked", "running_updates")]
    return max(((1 - momentum) ** c.item() for c in counts if momentum and isinstance(c, Tensor)), default=0.0)
