r"""Standardization over chosen axes: the core of batch, layer, group and instance normalization.

    mu = <x>,  var = <(x-mu)^2>,  r = (var + eps)^(-1/2),   xhat = (x-mu) r    <.> = mean over the n elements of `axes`

Backward. With c = x-mu:  d mu/d x_j = 1/n,  d var/d x_j = 2 c_j / n  (the mean's own share vanishes, sum c = 0), hence
d r/d x_j = -r^3 c_j / n, and as xhat = c r

    d xhat_i/d x_j = (delta_ij - 1/n) r + c_i (-r^3 c_j / n)
                   = r (delta_ij - 1/n - xhat_i xhat_j / n)     exact for every eps; symmetric, hence its own transpose

    dx = r (g - <g> - xhat <g xhat>):   the gradient loses its parts along 1 and along xhat.

Whoever uses mu and var too adds their gradients g_mu, g_var (var's with c = xhat / r):

    dx_j += g_mu / n + g_var 2 xhat_j / (r n)

With y = gamma xhat + beta and a gamma that is constant over `axes`, as a channel's is for batch and instance
normalization, y = gamma r c + beta takes one pass over c, and gamma comes out of the means: with g = dL/dy,

    dbeta = sum g,   dgamma = r sum g c,   dx = gamma r (g - <g> - c r^2 <g c>),

and whoever uses c, mu and var too adds  g_c_j - <g_c> + g_mu / n + g_var 2 c_j / n.

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
    centred, mu, var = _moments(x, axes)
    r = (var + eps).rsqrt()
    return (centred * r if torch.is_grad_enabled() else centred.mul_(r)), mu, var


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, mu, var) -> dx, same shape as xhat."""
    g, g_mu, g_var = grads
    xhat, _, var = saved
    r, share = (var + eps).rsqrt(), _share(xhat, axes)
    if g is None:
        dx = torch.zeros_like(xhat)
    else:
        sum_g, g_along_xhat = _sums(g, xhat, axes)
        dx = _project(g, xhat, r, sum_g * share, g_along_xhat * share)
    if g_mu is not None:
        dx = dx + g_mu * share
    if g_var is not None:
        dx = dx + xhat * (g_var * (2 * share) / r)
    return (dx,)


def scaled_forward(
    x: Tensor, weight: Tensor, bias: Tensor, axes: Axes, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x -> y = gamma r c + beta, c, mu, var. weight and bias have x's rank, and size 1 along `axes`."""
    centred, mu, var = _moments(x, axes)
    return torch.addcmul(bias, centred, weight * (var + eps).rsqrt()), centred, mu, var


def scaled_backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of (y, c, mu, var) -> (dx, dgamma, dbeta)."""
    g, g_c, g_mu, g_var = grads
    weight, centred, var = saved
    r, share = (var + eps).rsqrt(), _share(centred, axes)
    if g is None:
        dx, dgamma, dbeta = torch.zeros_like(centred), torch.zeros_like(weight), torch.zeros_like(weight)
    else:
        dbeta, g_along_c = _sums(g, centred, axes)
        dgamma = r * g_along_c
        dx = _project(g, centred, weight * r, dbeta * share, r.square() * g_along_c * share)
        # Instance normalization: one gamma for all samples.
        rest = tuple(axis for axis in range(-g.ndim, 0) if weight.shape[axis] < dbeta.shape[axis])
        if rest:
            dgamma, dbeta = dgamma.sum(rest, keepdim=True), dbeta.sum(rest, keepdim=True)
    if g_c is not None:
        dx = dx + g_c - g_c.mean(axes, keepdim=True)
    if g_mu is not None:
        dx = dx + g_mu * share
    if g_var is not None:
        dx = dx + centred * (g_var * (2 * share))
    return dx, dgamma, dbeta


def _moments(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor, Tensor]:
    mu = x.mean(axes, keepdim=True)
    centred = x - mu
    return centred, mu, centred.square().mean(axes, keepdim=True)


def _sums(g: Tensor, along: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    return g.sum(axes, keepdim=True), (g * along).sum(axes, keepdim=True)


def _project(g: Tensor, along: Tensor, scale: Tensor, of_ones: Tensor, of_along: Tensor) -> Tensor:
    """scale (g - of_ones - along of_along).

    In one new tensor: large ones cost more in page faults than in arithmetic.
    """
    if torch.compiler.is_compiling():
        return scale * (g - of_ones - along * of_along)
    return torch.addcmul(of_ones, along, of_along).sub_(g).mul_(-scale)


def _share(x: Tensor, axes: Axes) -> float:
    """1/n, n the number of elements along `axes`; 1 for none.

    Sums are multiplied by it rather than means taken: compiled, mean's division is repeated for each element of x.
    """
    return 1 / max(1, prod([x.shape[axis] for axis in axes]))


standardize = join(Kernel(forward, backward))
_scaled = join(
    Kernel(scaled_forward, scaled_backward, save=lambda inputs, outputs: (inputs[1], outputs[1], outputs[3]))
)


def standardize_channels(
    x: Tensor, axes: Axes, eps: float, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, C, ...) -> y = gamma xhat + beta of its shape, mu and var; weight and bias (C,), `axes` without C's."""
    axis = 1 - x.ndim
    # The variance of no samples is NaN, which must not reach gamma's gradient through r.
    if weight is None or bias is None or not x.numel():
        xhat, mu, var = standardize(x, axes, eps)
        return scale_shift(xhat, weight, bias, axis), mu, var
    shape = (1, -1, *(1,) * (x.ndim - 2))
    weight, bias = weight.to(x.dtype).reshape(shape), bias.to(x.dtype).reshape(shape)
    if _overwritable():
        centred, mu, var = _moments(x, axes)
        return scale_shift(centred, weight * (var + eps).rsqrt(), bias), mu, var
    y, _, mu, var = _scaled(x, weight, bias, axes, eps)
    return y, mu, var


def scale_shift(xhat: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int = -1) -> Tensor:
    """gamma xhat + beta, with gamma and beta of shape (C,) along the negative `axis`, or of xhat's trailing shape.

    xhat must be the caller's own: where that is allowed, it is overwritten.
    """
    weight = None if weight is None else along(weight, axis)
    bias = None if bias is None else along(bias, axis)
    if weight is None:
        return xhat if bias is None else xhat + bias.to(xhat.dtype)
    if bias is None:
        return xhat * weight.to(xhat.dtype)
    if _overwritable():
        return xhat.mul_(weight).add_(bias)
    if torch.compiler.is_compiling():
        return xhat * weight.to(xhat.dtype) + bias.to(xhat.dtype)
    # One pass over xhat, where nobody fuses two.
    return torch.addcmul(bias.to(xhat.dtype), xhat, weight.to(xhat.dtype))


def _overwritable() -> bool:
    """Whether nobody else needs a tensor of one's own: no graph is recorded, no transform or compiler looks on."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())


def along(vector: Tensor, axis: int) -> Tensor:
    """(C,) -> (C, 1, ...) so that it broadcasts along the negative `axis`; as it is for axis -1."""
    return vector if axis == -1 else vector.reshape(-1, *(1,) * (-1 - axis))


def working(x: Tensor) -> Tensor:
    """x in the precision its statistics are taken in: half-precision inputs are worked on in float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
