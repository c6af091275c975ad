"""The running statistics of a norm, ours or torch's: read by `update_bn`, `fold`, `convert`, the probes and the doctor.

A norm of one's own that derives from `RunningNorm` states them there. Others' norms are known as far as `foreign` goes.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from rlnorm.nn import _torch
from rlnorm.nn._affine import to_compute_dtype
from rlnorm.nn._averages import inference_terms
from rlnorm.nn.modes import Mode, Moded
from rlnorm.nn.running import RunningNorm, Statistics

TORCHS: Mapping[str, float] = {"running_mean": 0.0, "running_var": 1.0}
"""Start values of the running statistics of torch's norms."""


def running_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Norms with running statistics, ours and torch's, by path."""
    for path, norm in model.named_modules():
        if isinstance(norm, RunningNorm | _torch.NormBase) and statistics_of(norm):
            yield path, norm


def start_values(norm: nn.Module) -> Mapping[str, float]:
    """Running statistic -> its start value; of a norm that is neither a `RunningNorm` nor torch's: none."""
    if isinstance(norm, RunningNorm):
        return norm.STATISTICS
    return TORCHS if isinstance(norm, _torch.NormBase) else {}


def statistics_of(norm: nn.Module) -> Statistics:
    """The running statistics of a norm of ours or torch's by name; empty where there are none."""
    return {name: value for name in start_values(norm) if (value := getattr(norm, name)) is not None}


def counter_of(norm: nn.Module) -> Tensor | None:
    """The number of batches that a norm of ours or torch's has counted; None where it counts none."""
    return getattr(norm, getattr(norm, "COUNTER", "num_batches_tracked"), None)


def moments_of(norm: nn.Module, statistics: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Mean and variance per channel that a norm's statistics stand for; None: not kept."""
    if isinstance(norm, RunningNorm):
        return norm.moments(dict(statistics))
    return statistics.get("running_mean"), statistics.get("running_var")


def is_per_sample(norm: nn.Module) -> bool:
    """Whether a norm takes statistics of each sample by itself, so that running ones are not those of the data."""
    return norm.per_sample if isinstance(norm, RunningNorm) else isinstance(norm, _torch.InstanceNormBase)


def mode_of(norm: nn.Module) -> Mode:
    """The mode of any module."""
    return norm.mode if isinstance(norm, Moded) else "train" if norm.training else "eval"


def inference_terms_of(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """A norm of ours or torch's with running statistics -> (a, b), (C,) each, with which it is y = a x + b."""
    running = {name: to_compute_dtype(value) for name, value in statistics_of(norm).items()}
    if isinstance(norm, RunningNorm):
        mean, r = norm.inference_factors(running)
    else:
        assert isinstance(norm, _torch.NormBase)
        mean, r = running["running_mean"], (running["running_var"] + norm.eps).rsqrt()
    some = next(iter(running.values()))
    scale, shift = inference_terms(mean, r, *(getattr(norm, name) for name in ("weight", "bias")))
    return torch.ones_like(some) if scale is None else scale, torch.zeros_like(some) if shift is None else shift


NAMED_AFTER_A_NORM = re.compile("norm(?!al(?!i[sz]))", re.IGNORECASE)
"""Not after a normal distribution."""
KEPT_BY_NORMS = re.compile("(running|moving|ra)_(mean|var|std)")
"""Names of running statistics: torch's and ours, TensorFlow's, Flax's."""


def foreign(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Norms that we cannot read and that keep state, by path: named after a norm, or keeping running statistics.

    Those of other libraries, by hand, and torch's where a script or an export has hidden their class.
    """
    for path, module in model.named_modules():
        if isinstance(module, Moded | _torch.NormBase):
            continue
        buffers = dict(module.named_buffers(recurse=False))
        ours_or_torchs = _library(module) in ("torch", "rlnorm")
        named = NAMED_AFTER_A_NORM.search(type(module).__name__) and not ours_or_torchs
        # By hand they are kept in parameters and plain attributes too.
        names = (*buffers, *dict(module.named_parameters(recurse=False)), *vars(module))
        if (named and buffers) or any(map(KEPT_BY_NORMS.match, names)):
            yield path, module


def _library(module: nn.Module) -> str:
    return type(module).__module__.split(".")[0]


def describe(path: str, module: nn.Module) -> str:
    """A module in a sentence: its path and class."""
    return f"{path or 'the model'} ({type(module).__name__})"


def leave_alone(path: str, module: nn.Module, tool: str) -> str:
    """The sentence for a norm that `foreign` finds, by which `tool` passes."""
    return f"{describe(path, module)} of {_library(module)} is left as it is: {tool} does not know it"
