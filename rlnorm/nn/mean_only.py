r"""Mean-only batch normalization: the batch mean is taken off, the scale is left to the weights.

    y = x - mu + beta,    mu = mean of x over the batch and the pixels

A running mean is kept as in `rlnorm.nn.batch` and taken off in the modes `eval` and `track`. Made for weight
normalization, which does not fix the mean (`rlnorm.nn.weight_mean_only` is both).

Backward. d mu/d x_j = 1/n, so d(x_i - mu)/d x_j = delta_ij - 1/n, symmetric: dx = g - <g>, and dL/dbeta = sum g.
If mu is also used downstream, its gradient adds: dx_j += g_mu / n.

Source: Salimans & Kingma 2016, arXiv:1602.07868, sec. 4.
"""

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from rlnorm.nn._affine import scale_shift
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._averages import channel_axes
from rlnorm.nn._standardize import Axes, inverse_n
from rlnorm.nn.norm import Norm
from rlnorm.nn.running import RunningNorm, Statistics


def forward(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """x -> x - mu of the same shape, and mu with `axes` kept as size 1. `axes` are negative."""
    mu = x.mean(axes, keepdim=True)
    return x - mu, mu


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes) -> tuple[Tensor]:
    """Gradients of (x - mu, mu) -> dx, same shape as x; saved: x, mu."""
    g, g_mu = grads
    x, _ = saved
    dx = torch.zeros_like(x) if g is None else g - g.mean(axes, keepdim=True)
    if g_mu is not None:
        dx = dx + g_mu * inverse_n(x, axes)
    return (dx,)


KERNEL = Kernel(forward, backward)
centre = join(KERNEL)


class MeanOnlyBatchNorm(RunningNorm):
    """Mean-only batch normalization of any number of spatial dimensions; arguments as in `RunningNorm`."""

    STATISTICS = MappingProxyType({"running_mean": 0.0})
    running_mean: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, momentum: float | None = 0.1, *, bias: bool = True, guard: bool = False):
        super().__init__(num_features, momentum, weight=False, bias=bias, guard=guard)

    def normalize_with_batch(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """x (N, C, ...) -> y of the same shape, and the batch's mean."""
        y, mu = centre(x, channel_axes(x.ndim))
        return scale_shift(y, None, self.bias, 1 - x.ndim), {"running_mean": mu.detach().flatten()}

    def batch_statistics(self, x: Tensor) -> Statistics:
        """The batch's mean."""
        return {"running_mean": x.mean(channel_axes(x.ndim))}

    def inference_factors(self, running: Statistics) -> tuple[Tensor, None]:
        """The mean, and nothing to multiply by."""
        return running["running_mean"], None


class MeanOnlyBatchNorm1d(MeanOnlyBatchNorm):
    """Mean-only batch normalization of (N, C) or (N, C, L)."""

    ranks = (2, 3)


class MeanOnlyBatchNorm2d(MeanOnlyBatchNorm):
    """Mean-only batch normalization of images (N, C, H, W)."""

    ranks = (4,)


NORM = Norm(
    "mean_only",
    {0: MeanOnlyBatchNorm1d, 1: MeanOnlyBatchNorm1d, 2: MeanOnlyBatchNorm2d},
    invariant_to=frozenset({"channel shift"}),
    couples_batch=True,
    source="Salimans & Kingma 2016, arXiv:1602.07868",
)
