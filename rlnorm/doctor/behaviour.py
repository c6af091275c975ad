"""The behaviour of norms, seen by running copies of them; names and classes do not tell it.

The caller decides whether gradients are on: some modules learn where they are, whatever their mode.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rlnorm.doctor.calls import Call
from rlnorm.doctor.copies import duplicate, state
from rlnorm.doctor.findings import Unmade, said
from rlnorm.nn.state import moments_of, start_values, statistics_of
from rlnorm.probes import formulas
from rlnorm.probes.nested import first_rows

ROUNDING = 1e-3
"""Smallest difference of outputs, in standard deviations, that rounding cannot explain: float32 leaves about 1e-6,
and half a batch of 256 rows moves batch statistics by about 0.06."""
ROLES = {"mean": 0.0, "var": 1.0, "std": 1.0}
"""Last words of the names of running statistics, and their values at construction."""


def is_norm(module: nn.Module, call: Call) -> bool:
    """Whether a training pass couples the rows of a batch, or changes state on which outputs depend.

    Modules with random outputs, or whose children couple the rows, are excluded.
    """
    module = duplicate(module).train()
    leaf = next(module.children(), None) is None
    try:
        with torch.enable_grad():
            one, other = (drawn(duplicate(module), call, seed) for seed in (0, 1))
            if leaf and difference(one, other) <= ROUNDING and coupling(module, call) > ROUNDING:
                return True
            moved_state = changed(module, call).keys() - _memory(module, call)
            return any(dependence(module, call, name) > ROUNDING for name in moved_state)
    except Exception:
        # A module that cannot run on its own, or on fewer rows, cannot be told from others.
        return False


def _memory(module: nn.Module, call: Call) -> set[str]:
    """State that has a row for each of the inputs, as the memory of a recurrent module has."""
    whole, part = duplicate(module), duplicate(module)
    call.on(whole)
    call.first(call.rows // 2).on(part)
    now = state(part)
    return {name for name, x in state(whole).items() if name in now and now[name].shape != x.shape}


def drawn(module: nn.Module, call: Call, seed: int) -> list[Tensor]:
    """Outputs of `module`, which may change, under this seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return call.on(module)


def coupling(norm: nn.Module, call: Call) -> float:
    """How far outputs of half of the rows move when the other half is left out, in standard deviations.

    Raises Unmade where fewer than two rows, or no output with rows, leave that open.
    """
    half = call.rows // 2
    if not half:
        raise Unmade("one row does not show whether rows depend on each other")
    return moved(call.on(duplicate(norm)), call.first(half).on(duplicate(norm)), call.rows, half)


def moved(whole: Sequence[Tensor], part: Sequence[Tensor], rows: int, keep: int) -> float:
    """How far the first `keep` of `rows` rows of `whole` are from `part`, the outputs for these rows alone.

    Raises Unmade where no output has a row for each of the inputs.
    """
    pairs = [(first_rows(out, rows, keep), out, alone) for out, alone in zip(whole, part, strict=True)]
    rowed = [(first, alone) for first, out, alone in pairs if first.shape == alone.shape != out.shape]
    if not any(first.is_floating_point() for first, _ in rowed):
        raise Unmade("no output has a row of numbers for each row of the inputs")
    return difference(*zip(*rowed))


def changed(norm: nn.Module, call: Call) -> dict[str, float]:
    """State of `norm` (none of its children's) that one pass changes, with the largest change.

    Random numbers that are drawn anew in each pass are no state.
    """
    before, one, other = state(norm), duplicate(norm), duplicate(norm)
    for copy, seed in ((one, 0), (other, 1)):
        drawn(copy, call, seed)
    now, again = state(one), state(other)
    kept = {name: x for name, x in before.items() if name in now and now[name].shape == x.shape}
    repeatable = [name for name in kept if name in again and now[name].equal(again[name])]
    moves = {name: (kept[name].double() - now[name].double()).abs().nan_to_num().max().item() for name in repeatable}
    return {name: move for name, move in moves.items() if move > 0}


def dependence(norm: nn.Module, call: Call, name: str, value: Tensor | None = None) -> float:
    """How far outputs in eval mode move, in standard deviations, when `name` becomes `value` (another one if None)."""
    one, other = duplicate(norm).eval(), duplicate(norm).eval()
    old = state(other)[name]
    old.copy_(old * 2 + 1 if value is None else value)
    return difference(call.on(one), call.on(other))


def forgets_shifts(norm: nn.Module, call: Call, axis: int) -> bool:
    """Whether, in training, another constant added to each unit of `axis` leaves outputs alone.

    The constants are added to a running mean too.
    """
    x = call.x
    if x.ndim < 2:
        return False
    spread = float(x.std().nan_to_num()) or 1.0
    shift = torch.linspace(-spread, spread, x.shape[axis], dtype=x.dtype, device=x.device)
    one, other = duplicate(norm).train(), duplicate(norm).train()
    for name, buffer in other.named_buffers(recurse=False):
        if role(name) == "mean" and buffer.shape == shift.shape:
            buffer += shift
    shifted = x + shift.reshape(-1, *(1,) * (x.ndim - 1 - axis % x.ndim))
    return difference(call.on(one), call.replace(shifted).on(other)) < ROUNDING


def one_row(norm: nn.Module, call: Call) -> str:
    """The consequence of training on a single row; empty where a row gets the same output as among others."""
    try:
        alone = call.first(1).on(duplicate(norm))
    except (ValueError, RuntimeError) as error:
        return f"raises {said(error)}"
    if not all(out.isfinite().all() for out in alone):
        return "gives outputs that are not finite"
    apart = moved(call.on(duplicate(norm)), alone, call.rows, 1)
    values = call.x[0].numel() // max(call.x.shape[1], 1) if call.x.ndim > 1 else 1
    taken = f"takes its statistics over {values} values of one sample"
    return f"{taken}; outputs are {apart:.2g} standard deviations from those in a larger one" * (apart > ROUNDING)


def gap(norm: nn.Module, x: Tensor) -> tuple[float, float]:
    """Medians over units: distance of means in running standard deviations, ratio of standard deviations (>= 1).

    0 and 1 for a norm without running mean, or with statistics of another shape than x has units. Medians, because a
    few units that hardly ever vary say little of a network and weigh much in a mean.
    """
    mean, var = moments(norm)
    if mean is None:
        return 0.0, 1.0
    now = formulas.moments(_by_unit(x, mean))
    if now.mean.shape != mean.flatten().shape:
        return 0.0, 1.0
    then = formulas.Moments(mean.flatten(), now.var if var is None else var.flatten())
    # Their root mean squares over units, for one unit at a time.
    each = [formulas.Moments(*(moment.unsqueeze(1) for moment in moments)) for moments in (now, then)]
    apart, ratio = (torch.vmap(probe)(*each).median().item() for probe in (formulas.mean_gap, formulas.spread_gap))
    return apart, math.exp(ratio)


def _by_unit(x: Tensor, mean: Tensor) -> Tensor:
    """x -> (n, units): all of a sample, or the axis that has as many units as the mean, channels first."""
    if x.shape[1:] == mean.shape:
        return x.flatten(1)
    channels_last = x.ndim > 2 and x.shape[1] != mean.numel() == x.shape[-1]
    return formulas.by_unit(x, -1 if channels_last else min(1, x.ndim - 1))


def statistics(norm: nn.Module) -> Mapping[str, Tensor]:
    """Running statistics by name: as the norm states them, or those whose name tells their role."""
    stated = statistics_of(norm)
    return stated or {name: x for name, x in state(norm).items() if role(name) and x.is_floating_point()}


def moments(norm: nn.Module) -> tuple[Tensor | None, Tensor | None]:
    """Running mean and variance; None: not kept."""
    stated = statistics_of(norm)
    if stated:
        return moments_of(norm, stated)
    found = {role(name): x for name, x in statistics(norm).items()}
    return found.get("mean"), found["std"].square() if "std" in found else found.get("var")


def role(name: str) -> str:
    """The role that the last word of a buffer's name tells: `running_mean` and `ra_mean` are means; "" for none."""
    last = name.rpartition("_")[2].rpartition(".")[2]
    return last if last in ROLES else ""


def as_constructed(norm: nn.Module, name: str, statistic: Tensor) -> bool:
    """Whether a statistic of a norm, by its name there, still has its first values."""
    start = start_values(norm).get(name, ROLES.get(role(name)))
    return start is not None and bool((statistic == start).all())


def difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """Largest difference of floating-point tensors, in standard deviations of each of `one`; NaN counts as 0."""
    return max(
        (_apart(a, b) for a, b in zip(one, other, strict=True) if a.is_floating_point() and a.numel()), default=0
    )


def _apart(one: Tensor, other: Tensor) -> float:
    # Outputs that hardly vary would make a multiple of their spread out of rounding.
    rounding = 16 * torch.finfo(one.dtype).eps
    one, other = one.double(), other.double()
    largest = (one - other).abs().max().nan_to_num().item()
    if largest <= rounding * one.abs().max().nan_to_num().item():
        return 0.0
    spread = one.std().nan_to_num().item() if one.numel() > 1 else 0.0
    return largest / (spread or 1.0)
