"""Running statistics of a trained model estimated anew, and parameters that weight decay should leave alone.

`torch.optim.swa_utils.update_bn` looks for torch's own class and skips ours without a word; ours knows both.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from rlnorm.nn import _torch
from rlnorm.nn._affine import AffineNorm
from rlnorm.nn._wrap import Reparametrized
from rlnorm.nn.modes import Mode, set_mode
from rlnorm.nn.running import RunningNorm
from rlnorm.nn.state import counter_of, foreign, leave_alone, mode_of, running_norms, start_values, statistics_of


@torch.no_grad()
def update_bn(
    loader: Iterable[Any],
    model: nn.Module,
    device: int | torch.device | str | None = None,
    *,
    notice: Callable[[str], None] | None = None,
) -> int:
    """Forget the running statistics of every norm in `model` and take their plain averages over `loader`.

    loader  yields batches: inputs of the model, as it takes them, or tuples or lists that begin with one
    device  where each input is sent before its pass; None: it stays where it is
    notice  is told each norm of another library, whose statistics are left alone; the default is `warnings.warn`

    Returns the number of norms that were updated: those that do not track (`track_running_stats`) are left alone. The
    model's other modules stay in their mode, the norms return to theirs, and batch renormalization keeps its place in
    its schedule. Raises ValueError for no batches; after any error nothing was forgotten. Signature after
    `torch.optim.swa_utils.update_bn`.
    """
    for path, norm in foreign(model):
        (notice or _warn)(leave_alone(path, norm, "update_bn"))
    norms = [norm for _, norm in running_norms(model) if vars(norm)["track_running_stats"]]
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise ValueError("update_bn expected at least one batch, got none")
    with _averaging(norms):
        for batch in chain([first], batches):
            x = batch[0] if isinstance(batch, tuple | list) else batch
            model(x if device is None else x.to(device))
    return len(norms)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


@contextmanager
def _averaging(norms: Sequence[nn.Module]) -> Iterator[None]:
    momenta = [vars(norm)["momentum"] for norm in norms]
    modes: list[Mode] = [mode_of(norm) for norm in norms]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    schedules = [
        c for norm in norms if isinstance(norm, RunningNorm) and norm.schedules and (c := norm.counter) is not None
    ]
    places = [counter.clone() for counter in schedules]
    counters = [_restart(norm) for norm in norms]
    try:
        yield
    except BaseException:
        for buffer, before in kept:
            buffer.copy_(before)
        raise
    else:
        for counter, place in zip(schedules, places, strict=True):
            counter.copy_(place)
    finally:
        for handle in filter(None, counters):
            handle.remove()
        for norm, mode, momentum in zip(norms, modes, momenta, strict=True):
            vars(norm)["momentum"] = momentum
            set_mode(norm, mode)


def _restart(norm: nn.Module) -> RemovableHandle | None:
    """Let a norm forget and average cumulatively; the hook that counts for one that cannot."""
    for name, value in statistics_of(norm).items():
        value.fill_(start_values(norm)[name])
    counter = counter_of(norm)
    if counter is not None:
        counter.zero_()
    set_mode(norm, "train")
    vars(norm)["momentum"] = None
    # Without a momentum torch's instance norm gives a batch no weight, and no norm averages without a counter.
    if counter is not None and not isinstance(norm, _torch.InstanceNormBase):
        return None
    batches = count(1)

    def weigh(*_: object) -> None:
        vars(norm)["momentum"] = 1 / next(batches)

    return norm.register_forward_pre_hook(weigh)


@contextmanager
def observing(model: nn.Module) -> Iterator[None]:
    """Within, a pass in the mode `train` puts the statistics of its batch in place of the running ones of each norm."""
    norms = [norm for _, norm in running_norms(model)]
    before = [(vars(norm)["momentum"], vars(norm)["track_running_stats"]) for norm in norms]
    try:
        for norm in norms:
            vars(norm).update(momentum=1.0, track_running_stats=True)
        yield
    finally:
        for norm, (momentum, track) in zip(norms, before, strict=True):
            vars(norm).update(momentum=momentum, track_running_stats=track)


SPARED = (AffineNorm, Reparametrized, _torch.NormBase, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
"""Norms, and layers whose weight they compute: decay is for none of their parameters, whatever their shape."""


def no_decay_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that weight decay should leave alone: every bias, and gamma, beta and lengths of norms.

    The rest is what decay is for: weights with two or more dimensions. The weight of a layer that a norm wraps is left
    alone too: decay would only change its length, which does nothing but raise its learning rate. That holds for
    torch's weight and spectral norm as well, in both of their forms.
    Source: Goyal et al. 2017, arXiv:1706.02677, sec. 5.1; for wrapped weights van Laarhoven 2017, arXiv:1706.05350.
    """
    spared = {id(p) for module in model.modules() for p in _spared(module)}
    return [p for p in model.parameters() if p.ndim < 2 or id(p) in spared]


def _spared(module: nn.Module) -> Iterator[Tensor]:
    if isinstance(module, SPARED):
        yield from module.parameters()
    elif isinstance(module, parametrize.ParametrizationList) and _torch.normalizes_weight(*module):
        yield from (p for name, p in module.named_parameters(recurse=False) if name.startswith("original"))
    for name in _torch.normalized_by_hook(module):
        yield from (p for key, p in module.named_parameters(recurse=False) if key.startswith(f"{name}_"))
