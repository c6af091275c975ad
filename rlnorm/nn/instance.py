r"""Instance normalization: each channel of each sample standardized over its own pixels.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over one channel's pixels in one sample

With `track_running_stats`, the means over the batch of mu and of the unbiased variance enter running statistics as in
`rlnorm.nn.batch`, and these normalize in the modes `eval` and `track`.

Backward. With g = dL/dy and sums over samples and pixels: dL/dgamma = sum g xhat, dL/dbeta = sum g,
dL/dxhat = gamma g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = pixels:
dx = r (g' - <g'> - xhat <g' xhat>).

Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
"""

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn import _torch
from rlnorm.nn._channels import ChannelNorm
from rlnorm.nn._standardize_fast import standardize_affine
from rlnorm.nn.norm import Norm
from rlnorm.nn.running import Statistics


def standardize_instance(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, C, ...) -> y of the same shape, and batch means of the instances' mean and biased variance, (C,) each."""
    y, mu, var = standardize_affine(x, tuple(range(2 - x.ndim, 0)), eps, weight, bias, 1 - x.ndim)
    return y, mu.detach().flatten(1).mean(0), var.detach().flatten(1).mean(0)


def several_pixels(x: Tensor, name: str) -> None:
    """Refuse statistics of a single pixel."""
    if not _torch.is_tracing() and x.shape[2:].numel() == 1:
        raise ValueError(f"{name}: expected more than 1 spatial element when training, got input size {tuple(x.shape)}")


class InstanceNorm(ChannelNorm):
    """Instance normalization of any number of spatial dimensions; one sample may come without its batch axis."""

    per_sample = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        guard: bool = False,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias, guard=guard
        )

    standardize = staticmethod(standardize_instance)

    def uses_own(self, kept: Statistics) -> bool:
        """As of all norms with running statistics; also where `track_running_stats` is off, as in torch."""
        return super().uses_own(kept) or not self.track_running_stats

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) or (C, ...) -> same shape. Without running statistics each mode uses the instance's own."""
        if input.ndim + 1 in self.ranks:
            return super().forward(input.unsqueeze(0)).squeeze(0)
        return super().forward(input)

    def check_input(self, x: Tensor, kept: Statistics) -> None:
        """As of all channel norms; another width is a ValueError, as in torch."""
        require.rank(x, self.ranks, type(self).__name__)
        require.channels(x, self.num_features, type(self).__name__, ValueError)
        super().check_input(x, kept)

    def values_per_statistic(self, x: Tensor) -> int:
        """Number of pixels."""
        return x.shape[2:].numel()

    def require_several(self, x: Tensor) -> None:
        """Refuse one pixel."""
        several_pixels(x, type(self).__name__)


class InstanceNorm1d(InstanceNorm):
    """Instance normalization of (N, C, L) or (C, L)."""

    ranks = (3,)


class InstanceNorm2d(InstanceNorm):
    """Instance normalization of images (N, C, H, W) or (C, H, W)."""

    ranks = (4,)


class InstanceNorm3d(InstanceNorm):
    """Instance normalization of volumes (N, C, D, H, W) or (C, D, H, W)."""

    ranks = (5,)


NORM = Norm(
    "instance",
    {1: InstanceNorm1d, 2: InstanceNorm2d, 3: InstanceNorm3d},
    invariant_to=frozenset(
        f"{kind} {change}" for kind in ("sample", "channel", "map") for change in ("shift", "scale")
    ),
    reference={1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
    source="Ulyanov et al. 2016, arXiv:1607.08022",
)
