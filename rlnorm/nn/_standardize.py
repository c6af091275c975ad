r"""Standardization over chosen axes: the core of batch, layer, group and instance normalization.

    mu = <x>,  var = <(x-mu)^2>,  r = (var + eps)^(-1/2),   xhat = (x-mu) r    <.> = mean over the n elements of `axes`

Backward. With c = x-mu:  d mu/d x_j = 1/n,  d var/d x_j = 2 c_j / n  (the mean's own share vanishes, sum c = 0), hence
d r/d x_j = -r^3 c_j / n, and as xhat = c r

    d xhat_i/d x_j = (delta_ij - 1/n) r + c_i (-r^3 c_j / n)
                   = r (delta_ij - 1/n - xhat_i xhat_j / n)     exact for every eps; symmetric, hence its own transpose

    dx = r (g - <g> - xhat <g xhat>):   the gradient loses its parts along 1 and along xhat.

Whoever uses mu and var too adds their gradients g_mu, g_var:

    dx_j += g_mu / n + g_var 2 c_j / n

With y = gamma xhat + beta, g = dL/dy, and gamma and beta shared along all of `axes`, some, or none:

    dbeta = sum g,   dgamma = sum g xhat    over all that share the element
    dx = r (gamma g - <gamma g> - xhat <gamma g xhat>),   with a gamma shared along all of them before the bracket

Sums over the axes that share gamma come first, so that what is multiplied by it is small. Layer normalization has none:
there <gamma g> is a product of a matrix and a vector.

The variance is biased (divided by n). The mean is taken off before squaring: <x^2> - <x>^2 returns a variance of 0.0
for mean 1e4 and standard deviation 1 in float32.

Sources: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3 (axes = batch); Ba et al. 2016, arXiv:1607.06450, eq. 3
(axes = features); Ulyanov et al. 2016, arXiv:1607.08022 (axes = pixels); Wu & He 2018, arXiv:1803.08494 (a group).
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad

from rlnorm.nn._autograd import Grads, Kernel, join

Axes = tuple[int, ...]
SHORT = 1 << 13
"""Up to so many elements a variance may come from torch's norm, whose float32 sum loses digits with their number."""


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """x -> xhat of the same shape, mu and var with `axes` kept as size 1. `axes` are negative."""
    centred, mu, var = _moments(x, axes)
    return _times(centred, (var + eps).rsqrt()), mu, var


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor]:
    """Gradients of (xhat, mu, var) -> dx; saved: x, mu, var."""
    x, mu, var = saved
    return _backward(grads, x, None, mu, var, axes, eps)[:1]


def affine_forward(x: Tensor, weight: Tensor, bias: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """x -> y = gamma xhat + beta of the same shape, mu, var; weight and bias, of one shape, broadcast to x's."""
    centred, mu, var = _moments(x, axes)
    r = _r(var, eps, weight, axes)
    own, scale = (centred, weight * r) if _shared(weight, axes) else (_times(centred, r), weight)
    if not _overwritable():
        return own * scale + bias, mu, var
    # One pass instead of two, but not along another axis than memory's, where torch's is slower than both.
    one_pass = bias.shape[-1:] == x.shape[-1:] and own.is_contiguous()
    return (torch.addcmul(bias, own, scale, out=own) if one_pass else own.mul_(scale).add_(bias)), mu, var


def affine_backward(grads: Grads, saved: Sequence[Tensor], axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of (y, mu, var) -> (dx, dgamma, dbeta); saved: x, weight, mu, var."""
    x, weight, mu, var = saved
    return _backward(grads, x, weight, mu, var, axes, eps)


def _backward(
    grads: Grads, x: Tensor, weight: Tensor | None, mu: Tensor, var: Tensor, axes: Axes, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    g, g_mu, g_var = grads
    share = _share(x, axes)
    if g is None:
        dgamma = dbeta = torch.zeros_like(var if weight is None else weight)
        dx = torch.zeros_like(x)
    else:
        dx, dgamma, dbeta = _of_y(g, x, weight, mu, _r(var, eps, weight, axes), axes)
    if g_mu is not None:
        dx = dx + g_mu * share
    if g_var is not None:
        dx = dx + (x - mu) * (g_var * (2 * share))
    return dx, dgamma, dbeta


def _of_y(
    g: Tensor, x: Tensor, weight: Tensor | None, mu: Tensor, r: Tensor, axes: Axes
) -> tuple[Tensor, Tensor, Tensor]:
    """dL/dy -> dx, dgamma, dbeta; in one large tensor where it may be overwritten: page faults cost more than sums."""
    shared, share = _shared(weight, axes), _share(x, axes)
    # Where nothing shares gamma, not even samples, dgamma is no sum but the large tensor itself.
    overwrite = _overwritable() and not is_legacy_batchedtensor(g) and (weight is None or weight.numel() < x.numel())
    shape = None if r.shape == mu.shape else r.shape
    centred, total = x - mu, g
    along = centred.mul_(g) if overwrite else centred * g
    if shared:
        total, along = _sum(total, shared, shape), _sum(along, shared, shape)
    along = along.mul_(r) if overwrite else along * r
    dgamma, dbeta, inside, scale = along, total, None, r
    if weight is not None:
        # Autograd may keep a gradient as it is and add to it: g itself must not go out again.
        dgamma, dbeta = _sum_to(along, weight), _sum_to(g.clone() if weight.numel() == x.numel() else total, weight)
        rest = tuple(axis for axis in axes if axis not in shared)
        if rest:
            # With nothing summed yet, the compiler would store a product that both gradients use.
            own = g * (centred * r) if torch.compiler.is_compiling() and not shared else along
            inside, total, along = weight, _dot(total, weight, rest), _dot(own, weight, rest)
        else:
            scale = weight * r
    of_ones, of_centred = total * share, along * (r * share)
    if not overwrite:
        scaled = g if inside is None else g * inside
        return scale * (scaled - of_ones - centred * of_centred), dgamma, dbeta
    dx = torch.sub(x, mu, out=centred).mul_(-of_centred).sub_(of_ones)
    dx = dx.add_(g) if inside is None else dx.addcmul_(g, inside)
    return dx.mul_(scale), dgamma, dbeta


def _r(var: Tensor, eps: float, weight: Tensor | None, axes: Axes) -> Tensor:
    """(var + eps)^(-1/2); compiled in gamma's shape where each statistic has its gamma, since views of results cost."""
    if torch.compiler.is_compiling() and weight is not None and _shared(weight, axes) == axes:
        # Compared last: a size that may change is fixed for good by comparing it.
        var = var.reshape(weight.shape) if weight.numel() == var.numel() else var
    return (var + eps).rsqrt()


def _moments(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor, Tensor]:
    mu = x.mean(axes, keepdim=True)
    centred = x - mu
    if not _overwritable():
        return centred, mu, centred.square().mean(axes, keepdim=True)
    share = _share(x, axes)
    if axes == tuple(range(-len(axes), 0)) and share >= 1 / SHORT and centred.is_contiguous():
        # One pass that leaves x - mu as it is; with strides it is many times slower than the two below, and less exact.
        root = torch.linalg.vector_norm(centred, 2, axes, keepdim=True)
        return centred, mu, root.square_().mul_(share)
    var = centred.square_().mean(axes, keepdim=True)
    return torch.sub(x, mu, out=centred), mu, var


def _times(own: Tensor, factor: Tensor) -> Tensor:
    return own.mul_(factor) if _overwritable() else own * factor


def _shared(weight: Tensor | None, axes: Axes) -> Axes:
    """Those of `axes` along which gamma is the same; all where there is no gamma."""
    if weight is None:
        return axes
    return tuple(axis for axis in axes if -axis > weight.ndim or weight.shape[axis] == 1)


def _sum(x: Tensor, axes: Axes, shape: torch.Size | None) -> Tensor:
    """The sum over `axes`, in `shape` or with them kept as size 1."""
    return x.sum(axes, keepdim=True) if shape is None else x.sum(axes).reshape(shape)


def _sum_to(x: Tensor, weight: Tensor) -> Tensor:
    """The sum over all that shares an element of gamma, in gamma's shape."""
    if not torch.compiler.is_compiling():
        return x.sum_to_size(weight.shape)
    # Compiled, a sum over axes of size 1 is a copy, and one that keeps them gives a view.
    if x.numel() == weight.numel():
        return x.reshape(weight.shape)
    return x.sum(_shared(weight, tuple(range(-x.ndim, 0)))).reshape(weight.shape)


def _dot(x: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    """Sum of gamma x over `axes`, which are kept as size 1."""
    is_vector = axes == (-1,) and (weight.ndim == 1 or weight.shape[-2] == 1)
    # Elsewhere the compiler fuses the product, or a matrix product may be less precise.
    if is_vector and x.device.type == "cpu" and not torch.compiler.is_compiling():
        return x @ (weight.unsqueeze(-1) if weight.ndim == 1 else weight.mT)
    return (x * weight).sum(axes, keepdim=True)


def _share(x: Tensor, axes: Axes) -> float:
    """1/n, n the number of elements along `axes`; 1 for none.

    Sums are multiplied by it rather than means taken: compiled, mean's division is repeated for each element of x.
    """
    return 1 / max(1, prod([x.shape[axis] for axis in axes]))


STANDARDIZED = Kernel(forward, backward, save=lambda inputs, outputs: (inputs[0], *outputs[1:]))
standardize = join(STANDARDIZED)
_affine = join(Kernel(affine_forward, affine_backward, save=lambda inputs, outputs: (*inputs[:2], *outputs[1:])))


@torch.compiler.allow_in_graph  # see `join`
def standardize_affine(
    x: Tensor, axes: Axes, eps: float, weight: Tensor | None, bias: Tensor | None, axis: int = -1
) -> tuple[Tensor, Tensor, Tensor]:
    """x -> y = gamma xhat + beta of its shape, mu and var; weight and bias as in `scale_shift`."""
    # The variance of no samples is NaN, which must not reach gamma's gradient through r.
    if weight is None or bias is None or not x.numel():
        xhat, mu, var = standardize(x, axes, eps)
        return scale_shift(xhat, weight, bias, axis), mu, var
    y, mu, var = _affine(x, along(weight, axis).to(x.dtype), along(bias, axis).to(x.dtype), axes, eps)
    return y, mu, var


def scale_shift(xhat: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int = -1) -> Tensor:
    """gamma xhat + beta, with gamma and beta of shape (C,) along the negative `axis`, or of xhat's trailing shape.

    xhat must be the caller's own: where that is allowed, it is overwritten.
    """
    if weight is None:
        return xhat if bias is None else xhat + along(bias, axis).to(xhat.dtype)
    if bias is None:
        return xhat * along(weight, axis).to(xhat.dtype)
    if _overwritable():
        return xhat.mul_(along(weight, axis)).add_(along(bias, axis))
    return multiply_add(xhat, weight.to(xhat.dtype), bias.to(xhat.dtype), axis)


def multiply_add(x: Tensor, scale: Tensor, shift: Tensor, axis: int) -> Tensor:
    """x scale + shift, with scale and shift as in `scale_shift`."""
    # One pass instead of two, but not along another axis, where torch's is slower than both.
    if axis == -1 and not torch.compiler.is_compiling():
        return torch.addcmul(shift, x, scale)
    scaled, shift = x * along(scale, axis), along(shift, axis)
    return scaled.add_(shift) if _overwritable() else scaled + shift


def _overwritable() -> bool:
    """Whether nobody else needs a tensor of one's own: no derivative is recorded, no transform or compiler looks on."""
    return not (
        torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or forward_ad._current_level >= 0
        or torch._C._are_functorch_transforms_active()
    )


def along(vector: Tensor, axis: int) -> Tensor:
    """(C,) -> (C, 1, ...) so that it broadcasts along the negative `axis`; as it is for axis -1."""
    return vector if axis == -1 else vector.reshape(-1, *(1,) * (-1 - axis))


def working(x: Tensor) -> Tensor:
    """x in the precision its statistics are taken in: half-precision inputs are worked on in float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
