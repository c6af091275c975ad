r"""Root-mean-square normalization: each sample divided by the root of its mean square, the mean left where it is.

    y = gamma xhat,    xhat = x r,    ms = <x^2>,    r = (ms + eps)^(-1/2)        <.> = mean over the n features

Backward. d ms/d x_j = 2 x_j / n, hence d r/d x_j = -r^3 x_j / n, and as xhat = x r

    d xhat_i/d x_j = delta_ij r + x_i (-r^3 x_j / n) = r (delta_ij - xhat_i xhat_j / n)        symmetric

    dx = r (g' - xhat <g' xhat>)    with g' = dL/dxhat = gamma dL/dy,    dL/dgamma = sum over samples of dL/dy xhat

Whoever uses ms too adds its gradient: dx_j += g_ms 2 x_j / n = g_ms 2 xhat_j / (r n).

Source: Zhang & Sennrich 2019, arXiv:1910.07467.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._standardize import Axes, scale_shift, working
from rlnorm.nn.norm import Norm


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor]:
    """x -> xhat of the same shape, and ms with `axes` kept as size 1. `axes` are negative."""
    ms = x.square().mean(axes, keepdim=True)
    return x * (ms + eps).rsqrt(), ms


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, ms) -> dx, same shape as xhat."""
    g, g_ms = grads
    xhat, ms = saved
    r = (ms + eps).rsqrt()
    dx = torch.zeros_like(xhat) if g is None else r * (g - xhat * (g * xhat).mean(axes, keepdim=True))
    if g_ms is not None:
        n = prod([xhat.shape[axis] for axis in axes])
        dx = dx + xhat * (g_ms * (2 / n) / r)
    return (dx,)


KERNEL = Kernel(forward, backward)
divide_by_rms = join(KERNEL)


@torch.compiler.allow_in_graph  # see `join`
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input (..., *normalized_shape) -> y of the same shape; signature of torch's. eps None is that of the dtype."""
    shape = tuple(normalized_shape)
    require.trailing(input, shape, "rms_norm", weight=weight)
    work = working(input)
    eps = torch.finfo(work.dtype).eps if eps is None else require.epsilon(eps, "rms_norm")
    return scale_shift(divide_by_rms(work, tuple(range(-len(shape), 0)), eps)[0], weight, None).to(input.dtype)


class RMSNorm(nn.Module):
    """RMS normalization over the trailing axes `normalized_shape`; constructor and state dict of torch's."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = None if eps is None else require.epsilon(eps, "RMSNorm")
        require.width(min(shape, default=0), "RMSNorm", "normalized_shape")
        self.normalized_shape, self.elementwise_affine = shape, elementwise_affine
        self.weight = nn.Parameter(torch.ones(shape, device=device, dtype=dtype)) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """gamma = 1."""
        if self.weight is not None:
            nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *normalized_shape) -> same shape."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """What the constructor was given."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class MapRMSNorm(nn.Module):
    """RMS normalization of (N, C, ...) over the whole map, one gamma per channel; needs to know the width alone."""

    def __init__(self, num_channels: int, eps: float | None = None, affine: bool = True):
        super().__init__()
        self.eps = None if eps is None else require.epsilon(eps, "MapRMSNorm")
        self.num_channels = num_channels
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape."""
        require.floating(x, "MapRMSNorm")
        require.channels(x, self.num_channels, "MapRMSNorm")
        if self.weight is not None:
            require.alike(x, self.weight, "MapRMSNorm", "weight")
        work = working(x)
        eps = torch.finfo(work.dtype).eps if self.eps is None else self.eps
        xhat = divide_by_rms(work, tuple(range(1 - x.ndim, 0)), eps)[0]
        return scale_shift(xhat, self.weight, None, 1 - x.ndim).to(x.dtype)


NORM = Norm(
    "rms",
    {0: RMSNorm, 1: MapRMSNorm, 2: MapRMSNorm, 3: MapRMSNorm},
    invariant_to=frozenset({"sample scale"}),
    reference={0: nn.RMSNorm},
    source="Zhang & Sennrich 2019, arXiv:1910.07467",
)
