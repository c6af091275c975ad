"""gamma and beta: applied to a standardized tensor, and held by a module."""

import torch
from torch import Tensor, nn

from rlnorm.nn import _torch


class AffineNorm(nn.Module):
    """A norm with a weight (gamma), a bias (beta), both or neither, of one shape."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(
        self,
        shape: int | tuple[int, ...],
        *,
        weight: bool,
        bias: bool,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        ones = torch.ones(shape, device=device, dtype=dtype)
        self.register_parameter("weight", nn.Parameter(ones) if weight else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros_like(ones)) if bias else None)

    def reset_parameters(self) -> None:
        """gamma = 1, beta = 0."""
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def scale_shift(xhat: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int = -1) -> Tensor:
    """gamma xhat + beta, with gamma and beta of shape (C,) along the negative `axis`, or of xhat's trailing shape.

    xhat belongs to the caller alone: it is overwritten where that is allowed.
    """
    if weight is None:
        return xhat if bias is None else xhat + broadcast_channels(bias, axis).to(xhat.dtype)
    if bias is None:
        return xhat * broadcast_channels(weight, axis).to(xhat.dtype)
    if may_overwrite():
        return xhat.mul_(broadcast_channels(weight, axis)).add_(broadcast_channels(bias, axis))
    return multiply_add(xhat, weight.to(xhat.dtype), bias.to(xhat.dtype), axis)


def multiply_add(x: Tensor, scale: Tensor, shift: Tensor, axis: int) -> Tensor:
    """x scale + shift, with scale and shift as in `scale_shift`."""
    # One pass instead of two, but not along another axis, where torch's is slower than both.
    if axis == -1 and not torch.compiler.is_compiling():
        return torch.addcmul(shift, x, scale)
    scaled, shift = x * broadcast_channels(scale, axis), broadcast_channels(shift, axis)
    return scaled.add_(shift) if may_overwrite() else scaled + shift


def may_overwrite() -> bool:
    """Whether a pass may reuse the tensors that it made.

    Not where a derivative is recorded, nor where a transform, a compiler or a tracer needs every value.
    """
    return not (
        torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or _torch.forward_mode_active()
        or _torch.transforms_active()
        or _torch.recording_operations()
    )


def broadcast_channels(vector: Tensor, axis: int) -> Tensor:
    """(C,) -> (C, 1, ...), which broadcasts along the negative `axis`; unchanged for axis -1."""
    return vector if axis == -1 else vector.reshape(-1, *(1,) * (-1 - axis))


def to_compute_dtype(x: Tensor) -> Tensor:
    """x in the precision that statistics are taken in: float32 for half-precision inputs, else x's own."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
