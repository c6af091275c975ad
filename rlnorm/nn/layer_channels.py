r"""Layer normalization over channels, pixel by pixel: what Flax's LayerNorm does to an image.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over one pixel's channels in one sample

Backward. With g = dL/dy and sums over samples and pixels: dL/dgamma = sum g xhat, dL/dbeta = sum g,
dL/dxhat = gamma g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = channels:
dx = r (g' - <g'> - xhat <g' xhat>).

After a Linear, where there is one pixel, it is `rlnorm.nn.layer`. On images it is not: that one takes mean and variance
over the whole map.

Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eqs. 3 and 4; flax.linen.LayerNorm for the axes.
"""

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._standardize import standardize_affine, working
from rlnorm.nn.norm import Norm


class ChannelLayerNorm(nn.Module):
    """Layer normalization of (N, C, ...) over C."""

    def __init__(
        self,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.eps = require.epsilon(eps, "ChannelLayerNorm")
        require.width(num_channels, "ChannelLayerNorm", "num_channels")
        self.num_channels = num_channels
        ones = torch.ones(num_channels, device=device, dtype=dtype)
        self.weight = nn.Parameter(ones) if affine else None
        self.bias = nn.Parameter(torch.zeros_like(ones)) if affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape."""
        require.floating(x, "ChannelLayerNorm")
        require.channels(x, self.num_channels, "ChannelLayerNorm")
        require.vectors(x, self.num_channels, "ChannelLayerNorm", weight=self.weight, bias=self.bias)
        axis = 1 - x.ndim
        return standardize_affine(working(x), (axis,), self.eps, self.weight, self.bias, axis)[0].to(x.dtype)

    def extra_repr(self) -> str:
        """What the constructor was given."""
        return f"{self.num_channels}, eps={self.eps}"


NORM = Norm(
    "layer_channels",
    dict.fromkeys(range(4), ChannelLayerNorm),
    invariant_to=frozenset(f"{kind} {change}" for kind in ("sample", "pixel") for change in ("shift", "scale")),
    reference={0: nn.LayerNorm},
    source="Ba et al. 2016, arXiv:1607.06450",
)
