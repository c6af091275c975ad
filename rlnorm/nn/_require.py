"""Requirements that every norm has of its input and its arguments, checked before any state changes.

Classes of errors are torch's: ValueError for arguments and ranks, RuntimeError for widths, dtypes and devices, and of
these NotImplementedError for integers.

Sizes are not compared while `torch.jit.trace` records: it would warn of each comparison.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import index
from typing import SupportsIndex

import torch
from torch import Tensor, nn

from rlnorm.nn import _torch


def sizes_are(sizes: torch.Size, expected: tuple[int, ...]) -> bool:
    """Whether sizes are the expected ones; while `torch.jit.trace` records, whether there are as many."""
    return len(sizes) == len(expected) and (_torch.is_tracing() or tuple(sizes) == expected)


def floating(x: Tensor, name: str) -> None:
    """Refuse integer, bool and complex input."""
    if not x.is_floating_point():
        raise NotImplementedError(f"{name} expects floating point input, got {x.dtype}: convert it, say with .float()")


def rank(x: Tensor, ranks: tuple[int, ...], name: str) -> None:
    """Refuse an input whose number of axes is not one of `ranks`."""
    if x.ndim not in ranks:
        expected = " or ".join(f"{r}D" for r in ranks)
        raise ValueError(f"{name} expected {expected} input (got {x.ndim}D input of shape {tuple(x.shape)})")


def channels(x: Tensor, width: int, name: str, error: type[Exception] = RuntimeError) -> None:
    """Refuse an input without `width` channels on its second axis."""
    if x.ndim < 2 or not sizes_are(x.shape[1:2], (width,)):
        got = x.shape[1] if x.ndim > 1 else "no such axis"
        raise error(f"{name}: expected {width} channels (axis 1), got {got} in {tuple(x.shape)}")


def mapped(x: Tensor, ranks: tuple[int, ...], width: int, name: str, **named: Tensor | None) -> None:
    """Refuse an input of another rank, of integers, of another width, or that does not fit the module's tensors."""
    rank(x, ranks, name)
    floating(x, name)
    channels(x, width, name)
    for what, vector in named.items():
        if vector is not None:
            alike(x, vector, name, what)


def vectors(x: Tensor, width: int, name: str, **named: Tensor | None) -> None:
    """Refuse a weight, bias or statistic that has not `width` elements, x's device, or x's dtype (or float32)."""
    for what, vector in named.items():
        if vector is None:
            continue
        if not _torch.is_tracing() and vector.numel() != width:
            raise RuntimeError(f"{name}: {what} should contain {width} elements not {vector.numel()}")
        alike(x, vector, name, what)


def all_or_none(statistics: Mapping[str, Tensor | None], name: str) -> None:
    """Refuse some running statistics without the others."""
    missing = [key for key, value in statistics.items() if value is None]
    if missing and len(missing) < len(statistics):
        raise ValueError(f"{name} expected all of {', '.join(statistics)} or none, but got {missing[0]}=None")


def autocast(x: Tensor) -> bool:
    """Whether layers take an input of half precision beside parameters in float32."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def same_device(x: Tensor, other: Tensor, name: str, what: str) -> None:
    """Refuse another device."""
    if other.device != x.device:
        raise RuntimeError(f"{name}: input is on {x.device} and {what} on {other.device}; expected one device")


def alike(x: Tensor, other: Tensor, name: str, what: str, mixed: bool = True) -> None:
    """Refuse another device, and another dtype unless, with `mixed`, it is float32 beside a half-precision input."""
    same_device(x, other, name, what)
    if other.dtype != x.dtype and not (mixed and other.dtype.itemsize == 4 and x.dtype.itemsize == 2):
        raise RuntimeError(f"{name}: input is {x.dtype} and {what} {other.dtype}; expected the same dtype")


def epsilon(eps: float, name: str, *, zero: bool = True) -> float:
    """Refuse an eps that is negative, NaN or infinite, or zero where that is not allowed; returns a plain number."""
    if not isfinite(eps) or eps < 0 or (eps == 0 and not zero):
        raise ValueError(f"{name}: eps must be a finite number {'>=' if zero else '>'} 0, but got {eps}")
    # The compiler takes a number of numpy for a tensor.
    return float(eps)


def momentum(momentum: float | None, name: str) -> None:
    """Refuse a momentum (weight of the new) outside [0, 1]; None is the cumulative average."""
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"{name}: momentum must lie in [0, 1] or be None, but got {momentum}")


def width(features: SupportsIndex, name: str, what: str = "num_features") -> int:
    """Refuse a negative width; returns an int, which the compiler needs, for any integer."""
    size = index(features)
    if size < 0:
        raise ValueError(f"{name}: {what} must be >= 0, but got {features}")
    return size


def shape(sizes: SupportsIndex | Sequence[int], name: str) -> tuple[int, ...]:
    """The shape that one integer or several give; refuses negative ones."""
    several = sizes if isinstance(sizes, Sequence) else (sizes,)
    return tuple(width(size, name, "normalized_shape") for size in several)


def several_values(x: Tensor, per_channel: int, name: str) -> None:
    """Refuse batch statistics of a single value."""
    if not _torch.is_tracing() and per_channel == 1:
        raise ValueError(
            f"{name}: expected more than 1 value per channel when training, got input size {tuple(x.shape)}; "
            "use a larger batch, or normalize with running statistics (mode 'eval')"
        )


def trailing(x: Tensor, shape: tuple[int, ...], name: str, **named: Tensor | None) -> None:
    """Refuse an input that does not end in `shape`, and a weight or bias that has not that shape."""
    if not shape:
        raise RuntimeError(f"{name} expects normalized_shape to have at least one axis, but got ()")
    floating(x, name)
    if not sizes_are(x.shape[max(0, x.ndim - len(shape)) :], shape):
        raise RuntimeError(f"{name}: expected input of shape (*, {str(shape)[1:]}, but got {tuple(x.shape)}")
    for what, vector in named.items():
        if vector is not None:
            if not sizes_are(vector.shape, shape):
                raise RuntimeError(f"{name}: expected {what} of shape {shape}, but got {tuple(vector.shape)}")
            alike(x, vector, name, what)


def updatable(norm: nn.Module, **new: Tensor) -> None:
    """Refuse what transforms of `torch.func` make impossible for running statistics, which are updated in place.

    One module's statistics cannot follow several batches, as `torch.vmap` over inputs makes them of `new`, from which
    each statistic is computed. A derivative lets no state be changed that it was not given.
    """
    if torch.compiler.is_compiling() or not _torch.transforms_active():
        return
    for what, value in new.items():
        running = getattr(norm, what)
        if running is not None and not _torch.vmap_levels(value) <= _torch.vmap_levels(running):
            raise RuntimeError(
                f"{type(norm).__name__}: {what} of one module cannot follow several batches at once, as under vmap "
                "over inputs; expected stacked modules, or a mode that does not update ('batch' or 'eval')"
            )
    for what, buffer in norm.named_buffers(recurse=False):
        if not _torch.takes_changes(buffer):
            raise RuntimeError(
                f"{type(norm).__name__}: {what} cannot be updated under a derivative of torch.func (grad, vjp, jvp), "
                "which changes no state but what it is given; expected a mode that does not update ('batch' or 'eval')"
            )


def probability(p: float, name: str) -> None:
    """Refuse a probability outside [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must lie in [0, 1], but got {p}")
