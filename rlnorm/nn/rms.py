r"""Root-mean-square normalization: each sample divided by the root of its mean square, the mean left where it is.

    y = gamma xhat,    xhat = x r,    ms = <x^2>,    r = (ms + eps)^(-1/2)        <.> = mean over the n features

Backward. d ms/d x_j = 2 x_j / n, hence d r/d x_j = -r^3 x_j / n, and as xhat = x r

    d xhat_i/d x_j = delta_ij r + x_i (-r^3 x_j / n) = r (delta_ij - xhat_i xhat_j / n)        symmetric

    dx = r (g' - xhat <g' xhat>)    with g' = dL/dxhat = gamma dL/dy,    dL/dgamma = sum over samples of dL/dy xhat

If ms is also used downstream, its gradient adds: dx_j += g_ms 2 x_j / n.

Source: Zhang & Sennrich 2019, arXiv:1910.07467.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._affine import AffineNorm, scale_shift, to_compute_dtype
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._standardize import Axes, inverse_n
from rlnorm.nn.norm import Norm


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor]:
    """x -> xhat of the same shape, and ms with `axes` kept as size 1. `axes` are negative."""
    ms = x.square().mean(axes, keepdim=True)
    return x * (ms + eps).rsqrt(), ms


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, ms) -> dx, same shape as x; saved: x, ms."""
    g, g_ms = grads
    x, ms = saved
    r = (ms + eps).rsqrt()
    xhat = x * r
    dx = torch.zeros_like(x) if g is None else r * (g - xhat * (g * xhat).mean(axes, keepdim=True))
    if g_ms is not None:
        dx = dx + x * (g_ms * (2 * inverse_n(x, axes)))
    return (dx,)


KERNEL = Kernel(forward, backward)
divide_by_rms = join(KERNEL)


@torch.compiler.allow_in_graph  # see `join`
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input (..., *normalized_shape) -> y of the same shape; signature of torch's. eps None is that of the dtype."""
    shape = require.shape(normalized_shape, "rms_norm")
    require.trailing(input, shape, "rms_norm", weight=weight)
    work = to_compute_dtype(input)
    eps = torch.finfo(work.dtype).eps if eps is None else require.epsilon(eps, "rms_norm")
    return scale_shift(divide_by_rms(work, tuple(range(-len(shape), 0)), eps)[0], weight, None).to(input.dtype)


class RMSNorm(AffineNorm):
    """RMS normalization over the trailing axes `normalized_shape`; constructor and state dict of torch's."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        shape = require.shape(normalized_shape, "RMSNorm")
        super().__init__(shape, weight=elementwise_affine, bias=False, device=device, dtype=dtype)
        self.eps = None if eps is None else require.epsilon(eps, "RMSNorm")
        self.normalized_shape, self.elementwise_affine = shape, elementwise_affine

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *normalized_shape) -> same shape."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class MapRMSNorm(AffineNorm):
    """RMS normalization of (N, C, ...) over the whole map, one gamma per channel; needs to know the width alone."""

    def __init__(self, num_channels: int, eps: float | None = None, affine: bool = True):
        num_channels = require.width(num_channels, "MapRMSNorm", "num_channels")
        super().__init__(num_channels, weight=affine, bias=False)
        self.eps = None if eps is None else require.epsilon(eps, "MapRMSNorm")
        self.num_channels = num_channels

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) -> same shape."""
        require.floating(input, "MapRMSNorm")
        require.channels(input, self.num_channels, "MapRMSNorm")
        require.vectors(input, self.num_channels, "MapRMSNorm", weight=self.weight)
        x = to_compute_dtype(input)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        xhat = divide_by_rms(x, tuple(range(1 - x.ndim, 0)), eps)[0]
        return scale_shift(xhat, self.weight, None, 1 - x.ndim).to(input.dtype)


NORM = Norm(
    "rms",
    {0: RMSNorm, 1: MapRMSNorm, 2: MapRMSNorm, 3: MapRMSNorm},
    invariant_to=frozenset({"sample scale"}),
    reference={0: nn.RMSNorm},
    source="Zhang & Sennrich 2019, arXiv:1910.07467",
)
