r"""Layer normalization over channels, pixel by pixel, as Flax's LayerNorm does with an image.

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
from rlnorm.nn._affine import AffineNorm, to_compute_dtype
from rlnorm.nn._standardize_fast import standardize_affine
from rlnorm.nn.norm import Norm


class ChannelLayerNorm(AffineNorm):
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
        num_channels = require.width(num_channels, "ChannelLayerNorm", "num_channels")
        super().__init__(num_channels, weight=affine, bias=affine and bias, device=device, dtype=dtype)
        self.eps = require.epsilon(eps, "ChannelLayerNorm")
        self.num_channels = num_channels

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) -> same shape."""
        require.floating(input, "ChannelLayerNorm")
        require.channels(input, self.num_channels, "ChannelLayerNorm")
        require.vectors(input, self.num_channels, "ChannelLayerNorm", weight=self.weight, bias=self.bias)
        x, axis = to_compute_dtype(input), 1 - input.ndim
        return standardize_affine(x, (axis,), self.eps, self.weight, self.bias, axis)[0].to(input.dtype)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_channels}, eps={self.eps}"


NORM = Norm(
    "layer_channels",
    dict.fromkeys(range(4), ChannelLayerNorm),
    invariant_to=frozenset(f"{kind} {change}" for kind in ("sample", "pixel") for change in ("shift", "scale")),
    reference={0: nn.LayerNorm},
    source="Ba et al. 2016, arXiv:1607.06450",
)
