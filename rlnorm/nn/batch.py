r"""Batch normalization: each channel standardized over the batch (and over pixels), then scaled and shifted.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over all axes but the channel's

Training keeps running statistics, with m the momentum and n the number of values per channel:

    running_mean <- (1-m) running_mean + m mu
    running_var  <- (1-m) running_var  + m var n/(n-1)

The variance that normalizes is biased (1/n), the one that enters the running variance is unbiased (1/(n-1)), as in the
paper's algorithm 2. `momentum=None` is the cumulative average, m = 1 / (number of batches so far).

Backward, normalizing with the batch. With g = dL/dy and sums over the batch and pixels: dL/dgamma = sum g xhat,
dL/dbeta = sum g, dL/dxhat = gamma g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = all but the
channel's: dx = r (g' - <g'> - xhat <g' xhat>).

Backward, normalizing with running statistics. These are constants: dx = gamma (running_var + eps)^(-1/2) g, and torch
derives that from the one line that computes it.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2, sec. 3.2 for images.
"""

from torch import Tensor, nn

from rlnorm.nn._averages import channel_axes
from rlnorm.nn._channels import ChannelNorm
from rlnorm.nn._standardize_fast import standardize_affine
from rlnorm.nn.norm import Norm


def standardize_batch(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, C, ...) -> y of the same shape, and the batch's mean and biased variance, (C,) each, without gradient."""
    y, mu, var = standardize_affine(x, channel_axes(x.ndim), eps, weight, bias, 1 - x.ndim)
    return y, mu.detach().flatten(), var.detach().flatten()


class BatchNorm(ChannelNorm):
    """Batch normalization of any number of spatial dimensions."""

    standardize = staticmethod(standardize_batch)

    def values_per_statistic(self, x: Tensor) -> int:
        """Number of samples times pixels."""
        return x.shape[0] * x.shape[2:].numel()


class BatchNorm1d(BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalization of images (N, C, H, W)."""

    ranks = (4,)


class BatchNorm3d(BatchNorm):
    """Batch normalization of volumes (N, C, D, H, W)."""

    ranks = (5,)


NORM = Norm(
    "batch",
    {0: BatchNorm1d, 1: BatchNorm1d, 2: BatchNorm2d, 3: BatchNorm3d},
    invariant_to=frozenset({"channel shift", "channel scale"}),
    couples_batch=True,
    reference={0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    source="Ioffe & Szegedy 2015, arXiv:1502.03167",
)
