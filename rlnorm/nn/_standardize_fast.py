"""Standardization in fewer and cheaper passes: the maths of `rlnorm.nn._standardize`, in an order that costs less.

Each pass runs in one of three forms. Where it may overwrite its own tensors, it does: page faults cost more than sums.
Where `torch.compile` traces it, it is written such that the generated code repeats nothing and copies nothing.
Elsewhere (a derivative of the backward pass, a transform, a tracer) it is the textbook form itself.

Both fast forms take sums over the axes along which gamma is constant before they multiply by it, so that the products
are small. With a gamma that is constant along all of `axes`

    dx = gamma r (g - <g> - xhat <g xhat>)

and with one that varies along some, <gamma g> over these is a product of a matrix and a vector.
"""

import torch
from torch import Tensor

from rlnorm.nn import _standardize as textbook
from rlnorm.nn import _torch
from rlnorm.nn._affine import broadcast_channels, may_overwrite, scale_shift
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._standardize import Axes, inverse_n

SHORT = 1 << 13
"""Up to so many elements a variance may come from torch's norm, whose float32 sum loses digits with their number."""

Saved = tuple[Tensor, ...]


def forward(x: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """As the textbook's."""
    if not may_overwrite():
        return textbook.forward(x, axes, eps)
    centred, mu, var = _moments_in_place(x, axes)
    return centred.mul_((var + eps).rsqrt()), mu, var


def backward(grads: Grads, saved: Saved, axes: Axes, eps: float) -> tuple[Tensor]:
    """As the textbook's."""
    g, *others = grads
    x, mu, var = saved
    if not _is_alone(g, others):
        return textbook.backward(grads, saved, axes, eps)
    assert g is not None
    run = _backward_compiled if torch.compiler.is_compiling() else _backward_in_place
    return run(g, x, None, mu, (var + eps).rsqrt(), axes)[:1]


def affine_forward(x: Tensor, weight: Tensor, bias: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """As the textbook's."""
    if torch.compiler.is_compiling():
        mu = x.mean(axes, keepdim=True)
        centred = textbook.centre(x, mu, axes)
        var = centred.square().mean(axes, keepdim=True)
        r = _r_compiled(var, eps, weight, axes)
        y = centred * (weight * r) + bias if _constant(weight, axes) else centred * r * weight + bias
        return y, mu, var
    if not may_overwrite():
        return textbook.affine_forward(x, weight, bias, axes, eps)
    y, mu, var = _moments_in_place(x, axes)
    r = (var + eps).rsqrt()
    scale = weight * r if _constant(weight, axes) else weight
    if scale is weight:
        y.mul_(r)
    # One pass instead of two, but not along another axis than memory's, where torch's is slower than both.
    one_pass = bias.shape[-1:] == x.shape[-1:] and y.is_contiguous()
    return (torch.addcmul(bias, y, scale, out=y) if one_pass else y.mul_(scale).add_(bias)), mu, var


def affine_backward(grads: Grads, saved: Saved, axes: Axes, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """As the textbook's."""
    g, *others = grads
    x, weight, _, mu, var = saved
    # A gamma of x's size is summed over nothing: its gradient is no sum, but as large as x.
    if not _is_alone(g, others) or not (torch.compiler.is_compiling() or weight.numel() < x.numel()):
        return textbook.affine_backward(grads, saved, axes, eps)
    assert g is not None
    if torch.compiler.is_compiling():
        return _backward_compiled(g, x, weight, mu, _r_compiled(var, eps, weight, axes), axes)
    return _backward_in_place(g, x, weight, mu, (var + eps).rsqrt(), axes)


def _is_alone(g: Tensor | None, others: Grads) -> bool:
    """Whether y alone has a gradient, and a fast form of the backward pass may run."""
    if g is None or any(other is not None for other in others):
        return False
    return torch.compiler.is_compiling() or (may_overwrite() and not _torch.is_batch_of_gradients(g))


def _moments_in_place(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor, Tensor]:
    """x -> x - mu in a tensor of its own, mu and var."""
    mu = x.mean(axes, keepdim=True)
    centred = x - mu
    error = centred.mean(axes, keepdim=True)
    centred.sub_(error)
    if axes == tuple(range(-len(axes), 0)) and inverse_n(x, axes) >= 1 / SHORT and centred.is_contiguous():
        # One pass that leaves x - mu as it is; with strides it is many times slower than the two below, and less exact.
        root = torch.linalg.vector_norm(centred, 2, axes, keepdim=True)
        return centred, mu, root.square_().mul_(inverse_n(x, axes))
    var = centred.square_().mean(axes, keepdim=True)
    return torch.sub(x, mu, out=centred).sub_(error), mu, var


def _backward_in_place(
    g: Tensor, x: Tensor, weight: Tensor | None, mu: Tensor, r: Tensor, axes: Axes
) -> tuple[Tensor, Tensor, Tensor]:
    """dL/dy -> dx, dgamma, dbeta, in one large tensor."""
    constant, n_inverse = _constant(weight, axes), inverse_n(x, axes)
    centred = x - mu
    error = centred.mean(axes, keepdim=True)
    product, total = centred.sub_(error).mul_(g), g
    if constant:
        product, total = product.sum(constant, keepdim=True), total.sum(constant, keepdim=True)
    product = product.mul_(r)
    dgamma, dbeta, inside, scale = product, total, None, r
    if weight is not None:
        dgamma, dbeta = product.sum_to_size(weight.shape), total.sum_to_size(weight.shape)
        varying = tuple(axis for axis in axes if axis not in constant)
        if varying:
            inside, total, product = weight, _dot(total, weight, varying), _dot(product, weight, varying)
        else:
            scale = weight * r
    of_ones, of_centred = total * n_inverse, product * (r * n_inverse)
    dx = torch.sub(x, mu, out=centred).mul_(-of_centred).sub_(of_ones - error * of_centred)
    dx = dx.add_(g) if inside is None else dx.addcmul_(g, inside)
    return dx.mul_(scale), dgamma, dbeta


def _backward_compiled(
    g: Tensor, x: Tensor, weight: Tensor | None, mu: Tensor, r: Tensor, axes: Axes
) -> tuple[Tensor, Tensor, Tensor]:
    """dL/dy -> dx, dgamma, dbeta, for the compiler.

    Sums are multiplied by 1/n rather than means taken: mean's division would be repeated for each element of x.
    """
    constant, n_inverse = _constant(weight, axes), inverse_n(x, axes)
    # Compiled, views of results cost: sums are made in the shape of r where that is gamma's.
    shape = None if r.shape == mu.shape else r.shape
    centred, total = textbook.centre(x, mu, axes), g
    product = centred * g
    if constant:
        product, total = _sum(product, constant, shape), _sum(total, constant, shape)
    product = product * r
    dgamma, dbeta, inside, scale = product, total, None, r
    if weight is not None:
        # Autograd may keep a gradient as it is and add to it: g itself must not go out.
        dgamma, dbeta = _sum_to(product, weight), _sum_to(g.clone() if weight.numel() == x.numel() else total, weight)
        varying = tuple(axis for axis in axes if axis not in constant)
        if varying:
            # With nothing summed yet, the compiler would store a product that both gradients use.
            own = product if constant else g * (centred * r)
            inside, total, product = weight, _dot(total, weight, varying), _dot(own, weight, varying)
        else:
            scale = weight * r
    of_ones, of_centred = total * n_inverse, product * (r * n_inverse)
    scaled = g if inside is None else g * inside
    return scale * (scaled - of_ones - centred * of_centred), dgamma, dbeta


def _r_compiled(var: Tensor, eps: float, weight: Tensor, axes: Axes) -> Tensor:
    """(var + eps)^(-1/2), in gamma's shape where each statistic has its gamma."""
    # The numbers of elements are compared last: a size that may change is fixed for good by comparing it.
    if _constant(weight, axes) == axes and weight.numel() == var.numel():
        var = var.reshape(weight.shape)
    return (var + eps).rsqrt()


def _constant(weight: Tensor | None, axes: Axes) -> Axes:
    """Those of `axes` along which gamma is the same; all where there is no gamma."""
    if weight is None:
        return axes
    return tuple(axis for axis in axes if -axis > weight.ndim or weight.shape[axis] == 1)


def _sum(x: Tensor, axes: Axes, shape: torch.Size | None) -> Tensor:
    """The sum over `axes`, in `shape` or with them kept as size 1."""
    return x.sum(axes, keepdim=True) if shape is None else x.sum(axes).reshape(shape)


def _sum_to(x: Tensor, weight: Tensor) -> Tensor:
    """The sum over all elements that use the same gamma, in gamma's shape."""
    # Compiled, a sum over axes of size 1 is a copy, and one that keeps them gives a view.
    if x.numel() == weight.numel():
        return x.reshape(weight.shape)
    return x.sum(_constant(weight, tuple(range(-x.ndim, 0)))).reshape(weight.shape)


def _dot(x: Tensor, weight: Tensor, axes: Axes) -> Tensor:
    """Sum of gamma x over `axes`, which are kept as size 1."""
    is_vector = axes == (-1,) and (weight.ndim == 1 or weight.shape[-2] == 1)
    # Elsewhere the compiler fuses the product, or a matrix product may be less precise.
    if is_vector and x.device.type == "cpu" and not torch.compiler.is_compiling():
        return x @ (weight.unsqueeze(-1) if weight.ndim == 1 else weight.mT)
    return (x * weight).sum(axes, keepdim=True)


standardize = join(Kernel(forward, backward))
_affine = join(Kernel(affine_forward, affine_backward))


@torch.compiler.allow_in_graph  # see `join`
def standardize_affine(
    x: Tensor, axes: Axes, eps: float, weight: Tensor | None, bias: Tensor | None, axis: int = -1
) -> tuple[Tensor, Tensor, Tensor]:
    """x -> y = gamma xhat + beta of its shape, mu and var; weight and bias as in `scale_shift`."""
    # The variance of no samples is NaN, which must not reach gamma's gradient through r.
    if weight is None or bias is None or _torch.is_empty(x):
        xhat, mu, var = standardize(x, axes, eps)
        return scale_shift(xhat, weight, bias, axis), mu, var
    gamma, beta = (broadcast_channels(vector, axis).to(x.dtype) for vector in (weight, bias))
    y, mu, var = _affine(x, gamma, beta, axes, eps)
    return y, mu, var
