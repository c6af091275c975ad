r"""SELU: the activation under which mean 0 and variance 1 are a stable fixed point, with its initialization.

    selu(x) = lambda x             for x > 0
            = lambda alpha (e^x - 1)   else         alpha = 1.67326..., lambda = 1.05070...

With weights of mean 0 and variance 1/fan_in (`lecun_normal_`) and inputs of mean 0 and variance 1, a layer's outputs
have mean 0 and variance 1 again, and deviations from that shrink: alpha and lambda solve the two equations that say so.

Backward. dx = g lambda for x > 0, else g lambda alpha e^x. At 0 the left derivative is taken, as in torch.

Source: Klambauer et al. 2017, arXiv:1706.02515.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._autograd import Grads, Kernel, join

ALPHA = 1.6732632423543772
LAMBDA = 1.0507009873554805


def forward(x: Tensor) -> tuple[Tensor]:
    """x -> selu(x), same shape."""
    return (LAMBDA * torch.where(x > 0, x, ALPHA * x.clamp(max=0).expm1()),)


def backward(grads: Grads, saved: Sequence[Tensor]) -> tuple[Tensor]:
    """Gradient of selu(x) -> dx, same shape."""
    (g,) = grads
    (x,) = saved
    if g is None:
        return (torch.zeros_like(x),)
    return (g * LAMBDA * torch.where(x > 0, 1, ALPHA * x.clamp(max=0).exp()),)


KERNEL = Kernel(forward, backward)
_selu = join(KERNEL)


def selu(input: Tensor) -> Tensor:
    """input -> selu(input), same shape. Raises RuntimeError for integers and bools."""
    require.floating(input, "selu")
    return _selu(input)[0]


class SELU(nn.Module):
    """The activation as a module."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """input -> selu(input), same shape."""
        return selu(input)


@torch.no_grad()
def lecun_normal_(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a weight (out, in, ...) with draws of mean 0 and variance 1/fan_in; ValueError for fewer than 2 axes."""
    if weight.ndim < 2:
        raise ValueError(f"lecun_normal_ expected at least 2 axes (out, in, ...), got {tuple(weight.shape)}")
    return weight.normal_(0, 1 / sqrt(weight[0].numel()), generator=generator)
