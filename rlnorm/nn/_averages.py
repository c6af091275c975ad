"""Running statistics as pure functions: how they normalize, and how a batch enters them."""

import torch
from torch import Tensor

from rlnorm.nn import _torch
from rlnorm.nn._affine import broadcast_channels, multiply_add, scale_shift


def normalize_with_running(
    x: Tensor, mean: Tensor | None, r: Tensor | None, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """gamma (x - mean) r + beta of x's shape (N, C, ...), all else (C,); None: left out.

    Without gradients one multiply-add; with them the mean is taken off first, so that gamma's gradient sums centred
    values and does not cancel.
    """
    axis = 1 - x.ndim
    if not torch.is_grad_enabled() and not _torch.recording_operations():
        scale, shift = inference_terms(mean, r, weight, bias)
        if scale is not None and shift is not None:
            return multiply_add(x, scale, shift, axis)
        return scale_shift(x, scale, shift, axis)
    scale = r if weight is None else weight.to(x.dtype) if r is None else r * weight.to(x.dtype)
    return scale_shift(x if mean is None else x - broadcast_channels(mean, axis), scale, bias, axis)


def inference_terms(
    mean: Tensor | None, r: Tensor | None, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """(C,) each -> a = gamma r and b = beta - a mean, with which gamma (x - mean) r + beta = a x + b."""
    if r is not None:
        scale = r if weight is None else r * weight.to(r.dtype)
    else:
        scale = weight
    if mean is None:
        return scale, bias
    shift = None if bias is None else bias.to(mean.dtype)
    if scale is None:
        return None, -mean if shift is None else shift - mean
    return scale, torch.addcmul(torch.zeros_like(mean) if shift is None else shift, scale, mean, value=-1)


def update_running(running: Tensor, new: Tensor, momentum: float | Tensor) -> None:
    """running <- (1 - momentum) running + momentum new, both (C,), in place; momentum a number or of one element.

    No gradient may flow into `new`. Without `lerp_`, which `torch.vmap` cannot batch.
    """
    running.mul_(1 - momentum)
    running.add_(new * momentum) if isinstance(momentum, Tensor) else running.add_(new, alpha=momentum)


def before_update(running: Tensor) -> Tensor:
    """A copy of a statistic, for a pass that uses it and then updates it in place.

    A compiled backward pass recomputes cheap values, a copy among them, from the buffers it was given, by then updated:
    gradients would be silently wrong. It does not recompute a flip.
    """
    return running.flip(0).flip(0) if torch.compiler.is_compiling() else running.clone()


def finite(*statistics: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Whether all (C,) are finite, as one bool tensor, and all, or zeros in their place."""
    seen = torch.stack([s.isfinite().all() for s in statistics]).all()
    return seen, tuple(torch.where(seen, s, 0) for s in statistics)


def unbiased(var: Tensor, n: int) -> Tensor:
    """The variance over n values, divided by n, as one divided by n-1."""
    return var * (n / (n - 1))


def channel_axes(ndim: int) -> tuple[int, ...]:
    """All axes but the channel's (the second), counted from the end."""
    return tuple(axis for axis in range(-ndim, 0) if axis != 1 - ndim)
