r"""Mean-only batch normalization: the batch mean is taken off, the scale is left to the weights.

    y = x - mu + beta,    mu = mean of x over the batch and the pixels

A running mean is kept as in `rlnorm.nn.batch` and taken off in the modes `eval` and `track`. Made for weight
normalization, which does not fix the mean (`rlnorm.nn.weight_mean_only` is both).

Backward. d mu/d x_j = 1/n, so d(x_i - mu)/d x_j = delta_ij - 1/n, symmetric: dx = g - <g>, and dL/dbeta = sum g.
Whoever uses mu too adds its gradient: dx_j += g_mu / n.

Source: Salimans & Kingma 2016, arXiv:1602.07868, sec. 4.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._channels import Averaging, before_update, channel_axes
from rlnorm.nn._standardize import Axes, along, working
from rlnorm.nn.norm import Norm


def forward(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """x -> x - mu of the same shape, and mu with `axes` kept as size 1. `axes` are negative."""
    mu = x.mean(axes, keepdim=True)
    return x - mu, mu


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes) -> tuple[Tensor]:
    """Gradients of (x - mu, mu) -> dx, same shape as x."""
    g, g_mu = grads
    dx = torch.zeros_like(saved[0]) if g is None else g - g.mean(axes, keepdim=True)
    if g_mu is not None:
        dx = dx + g_mu / prod([dx.shape[axis] for axis in axes])
    return (dx,)


KERNEL = Kernel(forward, backward)
centre = join(KERNEL)


class MeanOnlyBatchNorm(Averaging):
    """Mean-only batch normalization of any number of spatial dimensions; arguments as in `Averaging`."""

    def __init__(self, num_features: int, momentum: float | None = 0.1, *, bias: bool = True, guard: bool = False):
        super().__init__(num_features, momentum, False, bias=bias, guard=guard)
        self.running_mean: Tensor
        self.num_batches_tracked: Tensor
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape."""
        name, axis = type(self).__name__, 1 - x.ndim
        require.mapped(x, self.ranks, self.num_features, name, bias=self.bias, running_mean=self.running_mean)
        work = working(x)
        updates = self.updates_running
        if updates or self.uses_batch:
            require.several_values(x, x.shape[0] * x.shape[2:].numel(), name)
        if self.uses_batch:
            y, mu = centre(work, channel_axes(x.ndim))
        else:
            mean = before_update(self.running_mean) if updates else self.running_mean
            y = work - along(mean.to(work.dtype), axis)
            mu = work.detach().mean(channel_axes(x.ndim)) if updates else mean
        if updates and x.numel():
            self.average(self.num_batches_tracked, running_mean=mu.detach().flatten())
        return (y if self.bias is None else y + along(self.bias.to(y.dtype), axis)).to(x.dtype)

    def extra_repr(self) -> str:
        """What the constructor was given."""
        return f"{self.num_features}, momentum={self.momentum}, bias={self.bias is not None}"


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
