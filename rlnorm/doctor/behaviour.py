"""What a norm does, found out by running copies of it: names and classes do not say it."""

import math

import torch
from torch import Tensor, nn

from rlnorm.doctor.trace import Args, duplicate
from rlnorm.probes import formulas

ROUNDING = 1e-3
"""Differences of outputs, in standard deviations, from which on they are no rounding: float32 leaves about 1e-6,
and half a batch of 256 rows moves batch statistics by about 0.06."""


@torch.no_grad()
def coupling(norm: nn.Module, args: Args) -> float:
    """How far outputs of half of the rows move when the other half is left out, in standard deviations."""
    half = args[0].shape[0] // 2
    whole = duplicate(norm)(*args)[:half]
    part = duplicate(norm)(args[0][:half], *args[1:])
    return difference(whole, part)


@torch.no_grad()
def changed(norm: nn.Module, args: Args) -> dict[str, float]:
    """Buffers of `norm` (none of its children's) that one pass changes, with the largest change."""
    before = duplicate(norm)
    after = duplicate(norm)
    after(*args)
    moves = {
        name: (buffer.double() - _buffer(after, name).double()).abs().nan_to_num().max().item()
        for name, buffer in before.named_buffers(recurse=False)
        if buffer.numel()
    }
    return {name: move for name, move in moves.items() if move > 0}


@torch.no_grad()
def dependence(norm: nn.Module, args: Args, name: str, value: Tensor | None = None) -> float:
    """How far outputs in eval mode move, in standard deviations, when `name` becomes `value` (another one if None)."""
    one, other = duplicate(norm).eval(), duplicate(norm).eval()
    buffer = _buffer(other, name)
    buffer.copy_(buffer * 2 + 1 if value is None else value)
    return difference(one(*args), other(*args))


@torch.no_grad()
def forgets_shifts(norm: nn.Module, args: Args) -> bool:
    """Whether, in training, another constant added to each channel (and to its running mean) leaves outputs alone."""
    x = args[0]
    if x.ndim < 2:
        return False
    spread = float(x.std().nan_to_num()) or 1.0
    shift = torch.linspace(-spread, spread, x.shape[1], dtype=x.dtype, device=x.device)
    one, other = duplicate(norm).train(), duplicate(norm).train()
    for name, buffer in other.named_buffers(recurse=False):
        if name.endswith("mean") and buffer.shape == shift.shape:
            buffer += shift
    moved = x + shift.reshape(-1, *(1,) * (x.ndim - 2))
    return difference(one(*args), other(moved, *args[1:])) < ROUNDING


@torch.no_grad()
def one_row(norm: nn.Module, args: Args) -> str:
    """What training on a single row comes to; empty where a row gets the same as among others."""
    try:
        out = duplicate(norm)(args[0][:1], *args[1:])
    except (ValueError, RuntimeError) as error:
        return f"raises {type(error).__name__}: {error}"
    if not out.isfinite().all():
        return "gives outputs that are not finite"
    moved = difference(duplicate(norm)(*args)[:1], out)
    values = args[0][0].numel() // max(args[0].shape[1], 1)
    taken = f"takes its statistics over {values} values of one sample"
    return f"{taken}; outputs are {moved:.2g} standard deviations from those in a larger one" * (moved > ROUNDING)


@torch.no_grad()
def gap(norm: nn.Module, x: Tensor) -> tuple[float, float]:
    """Medians over units: distance of means in running standard deviations, ratio of standard deviations (>= 1).

    0 and 1 for a norm without running mean, or with statistics of another shape than x has units. Medians, because a
    few units that hardly ever vary say little of a network and weigh much in a mean.
    """
    mean, var, std = (getattr(norm, f"running_{name}", None) for name in ("mean", "var", "std"))
    if not isinstance(mean, Tensor):
        return 0.0, 1.0
    now = formulas.moments(x.flatten(1) if x.shape[1:] == mean.shape else formulas.by_unit(x, 1))
    if now.mean.shape != mean.flatten().shape:
        return 0.0, 1.0
    var = std.square() if isinstance(std, Tensor) else var
    then = formulas.Moments(mean.flatten(), var.flatten() if isinstance(var, Tensor) else now.var)
    # Their root mean squares over units, for one unit at a time.
    each = [formulas.Moments(*(moment.unsqueeze(1) for moment in moments)) for moments in (now, then)]
    apart, ratio = (torch.vmap(probe)(*each).median().item() for probe in (formulas.mean_gap, formulas.spread_gap))
    return apart, math.exp(ratio)


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in standard deviations of `one`; 0 where it is not a number."""
    spread = one.double().std().nan_to_num().item() if one.numel() > 1 else 0.0
    return (one.double() - other.double()).abs().max().nan_to_num().item() / (spread or 1.0)


def _buffer(module: nn.Module, name: str) -> Tensor:
    buffer = module._buffers[name]
    assert buffer is not None
    return buffer
