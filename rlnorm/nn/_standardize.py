r"""Standardization over chosen axes: the core of batch, layer, group and instance normalization.

    mu = <x>,  var = <(x-mu)^2>,  r = (var + eps)^(-1/2),   xhat = (x-mu) r    <.> = mean over the n elements of `axes`

Backward. With c = x-mu:  d mu/d x_j = 1/n,  d var/d x_j = 2 c_j / n  (mu adds nothing, since sum c = 0), hence
d r/d x_j = -r^3 c_j / n, and as xhat = c r

    d xhat_i/d x_j = (delta_ij - 1/n) r + c_i (-r^3 c_j / n)
                   = r (delta_ij - 1/n - xhat_i xhat_j / n)     exact for every eps; symmetric, hence its own transpose

    dx = r (g - <g> - xhat <g xhat>):   the gradient loses its parts along 1 and along xhat.

If mu or var is also used downstream, its gradient adds:

    dx_j += g_mu / n + g_var 2 c_j / n

With y = gamma xhat + beta and g = dL/dy, dL/dxhat = gamma g, and

    dbeta = sum g,   dgamma = sum g xhat    over all elements that use the same beta and gamma

Precision. The variance is biased (divided by n). The mean is taken off before squaring: <x^2> - <x>^2 returns 0.0 for
mean 1e4 and standard deviation 1 in float32. It is taken off twice: the rounding error of mu is a constant, whose
square would stand in the variance.

This is the definition. It runs where a derivative of the backward pass is recorded; elsewhere a faster form does
(`rlnorm.nn._standardize_fast`), which `tests/nn/test_standardize.py` holds equal to this one.

Sources: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3 (axes = batch); Ba et al. 2016, arXiv:1607.06450, eq. 3
(axes = features); Ulyanov et al. 2016, arXiv:1607.08022 (axes = pixels); Wu & He 2018, arXiv:1803.08494 (a group).
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from rlnorm.nn._autograd import Grads

Axes = tuple[int, ...]


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """x -> xhat of the same shape, mu and var with `axes` kept as size 1. `axes` are negative."""
    mu = x.mean(axes, keepdim=True)
    centred = centre(x, mu, axes)
    var = centred.square().mean(axes, keepdim=True)
    return centred * (var + eps).rsqrt(), mu, var


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, mu, var) -> dx; saved: x, mu, var."""
    g, g_mu, g_var = grads
    x, mu, var = saved
    centred, r = centre(x, mu, axes), (var + eps).rsqrt()
    dx = torch.zeros_like(x)
    if g is not None:
        xhat = centred * r
        along_ones = g.mean(axes, keepdim=True)
        along_xhat = xhat * (g * xhat).mean(axes, keepdim=True)
        dx = r * (g - along_ones - along_xhat)
    if g_mu is not None:
        dx = dx + g_mu * inverse_n(x, axes)
    if g_var is not None:
        dx = dx + centred * (g_var * (2 * inverse_n(x, axes)))
    return (dx,)


def affine_forward(x: Tensor, weight: Tensor, bias: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """x -> y = gamma xhat + beta of the same shape, mu, var; weight and bias, of one shape, broadcast to x's."""
    xhat, mu, var = forward(x, axes, eps)
    return xhat * weight + bias, mu, var


def affine_backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of (y, mu, var) -> (dx, dgamma, dbeta); saved: x, weight, bias, mu, var."""
    g, *others = grads
    x, weight, bias, mu, var = saved
    if g is None:
        (dx,) = backward(grads, (x, mu, var), axes, eps)
        return dx, torch.zeros_like(weight), torch.zeros_like(bias)
    xhat = centre(x, mu, axes) * (var + eps).rsqrt()
    (dx,) = backward((g * weight, *others), (x, mu, var), axes, eps)
    # Autograd may keep a gradient as it is and add to it: g itself must not go out as dbeta.
    dbeta = g.clone() if g.shape == bias.shape else g.sum_to_size(bias.shape)
    return dx, (g * xhat).sum_to_size(weight.shape), dbeta


def centre(x: Tensor, mu: Tensor, axes: Axes) -> Tensor:
    """x - mu, less the mean of that, which is the rounding error of mu."""
    centred = x - mu
    return centred - centred.mean(axes, keepdim=True)


def inverse_n(x: Tensor, axes: Axes) -> float:
    """1/n, n the number of elements along `axes`; 1 for none."""
    return 1 / max(1, prod([x.shape[axis] for axis in axes]))
