r"""Standardization over chosen axes: the core of batch, layer, group and instance normalization.

    mu = <x>,  var = <(x-mu)^2>,  r = (var + eps)^(-1/2),   xhat = (x-mu) r    <.> = mean over the n elements of `axes`

Backward. With c = x-mu:  d mu/d x_j = 1/n,  d var/d x_j = 2 c_j / n  (the mean's own share vanishes, sum c = 0), hence
d r/d x_j = -r^3 c_j / n, and as xhat = c r

    d xhat_i/d x_j = (delta_ij - 1/n) r + c_i (-r^3 c_j / n)
                   = r (delta_ij - 1/n - xhat_i xhat_j / n)     exact for every eps; symmetric, hence its own transpose

    dx = r (g - <g> - xhat <g xhat>):   the gradient loses its parts along 1 and along xhat.

Whoever uses mu and var too adds their gradients g_mu, g_var (var's with c = xhat / r):

    dx_j += g_mu / n + g_var 2 xhat_j / (r n)

The variance is biased (divided by n). The mean is taken off before squaring: <x^2> - <x>^2 returns a variance of 0.0
for mean 1e4 and standard deviation 1 in float32.

Sources: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3 (axes = batch); Ba et al. 2016, arXiv:1607.06450, eq. 3
(axes = features); Ulyanov et al. 2016, arXiv:1607.08022 (axes = pixels); Wu & He 2018, arXiv:1803.08494 (a group).
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from rlnorm.nn._autograd import Grads, Kernel, join

Axes = tuple[int, ...]


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """x -> xhat of the same shape, mu and var with `axes` kept as size 1. `axes` are negative."""
    mu = x.mean(axes, keepdim=True)
    centred = x - mu
    var = centred.square().mean(axes, keepdim=True)
    r = (var + eps).rsqrt()
    return (centred * r if torch.is_grad_enabled() else centred.mul_(r)), mu, var


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, mu, var) -> dx, same shape as xhat."""
    g, g_mu, g_var = grads
    xhat, _, var = saved
    r = (var + eps).rsqrt()
    n = max(1, prod([xhat.shape[axis] for axis in axes]))
    if g is None:
        dx = torch.zeros_like(xhat)
    else:
        # Times 1/n rather than mean: compiled, mean's division is repeated for each element of g.
        along_ones = g.sum(axes, keepdim=True) * (1 / n)
        along_xhat = (g * xhat).sum(axes, keepdim=True) * (1 / n)
        # r (g - <g> - xhat <g xhat>), in one new tensor: large ones cost more in page faults than in arithmetic.
        dx = torch.addcmul(along_ones, xhat, along_xhat).sub_(g).mul_(-r)
    if g_mu is not None:
        dx = dx + g_mu / n
    if g_var is not None:
        dx = dx + xhat * (g_var * (2 / n) / r)
    return (dx,)


KERNEL = Kernel(forward, backward)
standardize = join(KERNEL)


def scale_shift(xhat: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int = -1) -> Tensor:
    """gamma xhat + beta, with gamma and beta of shape (C,) along the negative `axis`, or of xhat's trailing shape."""
    weight = None if weight is None else along(weight, axis)
    bias = None if bias is None else along(bias, axis)
    if weight is None:
        return xhat if bias is None else xhat + bias.to(xhat.dtype)
    if bias is None:
        return xhat * weight.to(xhat.dtype)
    if torch.compiler.is_compiling():
        return xhat * weight.to(xhat.dtype) + bias.to(xhat.dtype)
    # One pass over xhat, where nobody fuses two.
    return torch.addcmul(bias.to(xhat.dtype), xhat, weight.to(xhat.dtype))


def along(vector: Tensor, axis: int) -> Tensor:
    """(C,) -> (C, 1, ...) so that it broadcasts along the negative `axis`; as it is for axis -1."""
    return vector if axis == -1 else vector.reshape(-1, *(1,) * (-1 - axis))


def working(x: Tensor) -> Tensor:
    """x in the precision its statistics are taken in: half-precision inputs are worked on in float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
