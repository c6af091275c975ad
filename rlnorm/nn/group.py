r"""Group normalization: the channels of each sample standardized in groups, then scaled and shifted per channel.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over one group's channels and all pixels

Backward. With g = dL/dy and sums over samples and pixels: dL/dgamma = sum g xhat, dL/dbeta = sum g,
dL/dxhat = gamma g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = a group's channels and pixels:
dx = r (g' - <g'> - xhat <g' xhat>).

One group is layer normalization of the whole map; one channel per group is instance normalization.

Source: Wu & He 2018, arXiv:1803.08494.
"""

from operator import index

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn import _torch
from rlnorm.nn._affine import AffineNorm, to_compute_dtype
from rlnorm.nn._standardize_fast import standardize_affine
from rlnorm.nn.norm import Norm

CHANNELS_PER_GROUP = 16
"""The paper's second setting: channels per group fixed, not groups."""


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """input (N, C, ...) -> y of the same shape; weight and bias (C,). Signature and errors of torch's."""
    eps = require.epsilon(eps, "group_norm")
    if input.ndim < 2:
        raise RuntimeError(f"group_norm expected at least 2 axes (N, C, ...), got {tuple(input.shape)}")
    require.floating(input, "group_norm")
    channels = input.shape[1]
    if num_groups <= 0 or (not _torch.is_tracing() and channels % num_groups):
        raise RuntimeError(f"group_norm: {channels} channels of input cannot be divided into {num_groups} groups")
    require.vectors(input, channels, "group_norm", weight=weight, bias=bias)
    # As torch, which counts a group's values over the whole batch.
    of_group = input.shape[0] * channels // num_groups * input.shape[2:].numel()
    if not _torch.is_tracing() and of_group * (num_groups if input.ndim == 2 else 1) == 1:
        raise ValueError(f"group_norm: expected more than 1 value per group, got input size {tuple(input.shape)}")
    groups, ones = (num_groups, channels // num_groups), (1,) * (input.ndim - 2)
    grouped = to_compute_dtype(input).reshape(input.shape[0], *groups, *input.shape[2:])
    weight, bias = (None if v is None else v.reshape(*groups, *ones) for v in (weight, bias))
    y = standardize_affine(grouped, tuple(range(1 - input.ndim, 0)), eps, weight, bias)[0]
    return y.reshape(input.shape).to(input.dtype)


def groups_for(width: int) -> int:
    """The largest number of equal groups of at least 16 channels, or 1."""
    most = max(1, width // CHANNELS_PER_GROUP)
    return next(groups for groups in range(most, 0, -1) if width % groups == 0)


class GroupNorm(AffineNorm):
    """Group normalization; constructor and state dict of torch's."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ):
        if num_groups <= 0 or num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        num_channels = require.width(num_channels, "GroupNorm", "num_channels")
        super().__init__(num_channels, weight=affine, bias=affine and bias, device=device, dtype=dtype)
        self.eps = require.epsilon(eps, "GroupNorm")
        self.num_groups, self.num_channels, self.affine = index(num_groups), num_channels, affine

    @classmethod
    def of_width(
        cls,
        num_channels: int,
        num_groups: int | None = None,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> "GroupNorm":
        """For `num_channels` alone: as many groups as leave 16 channels in each (the paper's second setting)."""
        groups = groups_for(num_channels) if num_groups is None else num_groups
        return cls(groups, num_channels, eps, affine, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) -> same shape."""
        if input.ndim >= 2:
            require.channels(input, self.num_channels, "GroupNorm")
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def _torchs(width: int) -> nn.Module:
    return nn.GroupNorm(groups_for(width), width)


NORM = Norm(
    "group",
    dict.fromkeys(range(4), GroupNorm.of_width),
    invariant_to=frozenset({"sample shift", "sample scale"}),
    reference=dict.fromkeys(range(4), _torchs),
    source="Wu & He 2018, arXiv:1803.08494",
)
