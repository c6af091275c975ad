r"""Layer normalization: each sample standardized over its own features, then scaled and shifted.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over the features of one sample

Backward. With g = dL/dy and sums over samples: dL/dgamma = sum g xhat, dL/dbeta = sum g, dL/dxhat = gamma g =: g', and
dL/dx from g' by `rlnorm.nn._standardize` with axes = features: dx = r (g' - <g'> - xhat <g' xhat>).

Nothing is kept between batches, no sample sees another, and training and inference are the same function.

On images there are two norms of this name. `LayerNorm((C, H, W))` here, as in torch, takes mean and variance over the
whole map; so does `MapLayerNorm(C)` with one gamma and beta per channel, which needs to know the width alone.
`rlnorm.nn.layer_channels` takes them over the channels of each pixel, as Flax does.

Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eqs. 3 and 4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._affine import AffineNorm, to_compute_dtype
from rlnorm.nn._standardize_fast import standardize_affine
from rlnorm.nn.group import GroupNorm
from rlnorm.nn.norm import Norm


@torch.compiler.allow_in_graph  # see `join`
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input (..., *shape) -> y of the same shape; weight and bias of `shape`. Signature and errors of torch's."""
    shape, eps = require.shape(normalized_shape, "layer_norm"), require.epsilon(eps, "layer_norm")
    require.trailing(input, shape, "layer_norm", weight=weight, bias=bias)
    return standardize_affine(to_compute_dtype(input), tuple(range(-len(shape), 0)), eps, weight, bias)[0].to(
        input.dtype
    )


class LayerNorm(AffineNorm):
    """Layer normalization over the trailing axes `normalized_shape`; constructor and state dict of torch's."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        shape = require.shape(normalized_shape, "LayerNorm")
        has_bias = elementwise_affine and bias
        super().__init__(shape, weight=elementwise_affine, bias=has_bias, device=device, dtype=dtype)
        self.eps = require.epsilon(eps, "LayerNorm")
        self.normalized_shape, self.elementwise_affine = shape, elementwise_affine

    def forward(self, input: Tensor) -> Tensor:
        """input (..., *normalized_shape) -> same shape."""
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class MapLayerNorm(GroupNorm):
    """Layer normalization of (N, C, ...) over the whole map, one gamma and beta per channel: one group.

    Needs only the width. For gamma and beta per pixel use `LayerNorm((C, H, W))`.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True):
        super().__init__(1, num_channels, eps, affine, bias=bias)


def _torchs_map(width: int) -> nn.Module:
    return nn.GroupNorm(1, width)


NORM = Norm(
    "layer",
    {0: LayerNorm, 1: MapLayerNorm, 2: MapLayerNorm, 3: MapLayerNorm},
    invariant_to=frozenset({"sample shift", "sample scale"}),
    reference={0: nn.LayerNorm, 1: _torchs_map, 2: _torchs_map, 3: _torchs_map},
    source="Ba et al. 2016, arXiv:1607.06450",
)
