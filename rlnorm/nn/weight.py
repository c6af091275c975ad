r"""Weight normalization: length and direction of each unit's weights as parameters of their own.

    w = g v / |v|        for each output unit; |.| over all of its input weights

Backward. With n = |v|, dn/dv = v/n, and G = dL/dw, the sums over one unit's weights:

    dL/dg = <G, v> / n
    dL/dv = (g/n) G - g <G, v> v / n^3 = (g/n) (G - <G, v> v / n^2):   orthogonal to v

So |v| can only grow under gradient steps, and the direction is learned at a rate that falls with it.

Initialization from data (the paper's sec. 3): with t = v x / |v| over one batch, g = 1/std(t) and b = -mean(t)/std(t),
so that every unit starts with mean 0 and variance 1.

Source: Salimans & Kingma 2016, arXiv:1602.07868, secs. 2 and 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._averages import channel_axes
from rlnorm.nn._standardize import Axes
from rlnorm.nn._torch import apply_layer
from rlnorm.nn._wrap import Reparametrized
from rlnorm.nn.norm import Norm


def forward(v: Tensor, g: Tensor, axes: Axes) -> tuple[Tensor]:
    """v (out, in, ...), g (out, 1, ...) -> w of v's shape. `axes` are those of the inputs, negative."""
    return (v * (g / v.square().sum(axes, keepdim=True).sqrt()),)


def backward(grads: Grads, saved: Sequence[Tensor], axes: Axes) -> tuple[Tensor, Tensor]:
    """Gradient of w -> (dv, dg)."""
    (grad,) = grads
    v, g = saved
    if grad is None:
        return torch.zeros_like(v), torch.zeros_like(g)
    n = v.square().sum(axes, keepdim=True).sqrt()
    dg = (grad * v).sum(axes, keepdim=True) / n
    return (g / n) * (grad - v * (dg / n)), dg


KERNEL = Kernel(forward, backward)
normalize_weight = join(KERNEL)


class WeightNorm(Reparametrized):
    """A Linear or Conv with weight g v / |v|: v is `layer.weight`, g is `gain` (out,), which starts as |v|."""

    def __init__(self, layer: nn.Module):
        super().__init__(layer)
        v = self.layer.weight
        self.gain = nn.Parameter(v.new_empty(v.shape[0]), requires_grad=v.requires_grad)
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """gain = |v|: the effective weight is v."""
        self.gain.copy_(self.layer.weight.flatten(1).norm(dim=1))

    def effective_weight(self) -> Tensor:
        """g v / |v|, of v's shape."""
        v = self.layer.weight
        return normalize_weight(v, self.gain.reshape(-1, *(1,) * (v.ndim - 1)), tuple(range(1 - v.ndim, 0)))[0]

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set gain and bias from one batch, so that this layer's outputs for it have mean 0 and variance 1 per unit.

        Raises ValueError where a unit's outputs do not vary over the batch.
        """
        v = self.layer.weight
        length = v.flatten(1).norm(dim=1)
        t = apply_layer(self.layer, x, v / length.reshape(-1, *(1,) * (v.ndim - 1)))
        axes = channel_axes(t.ndim) if v.ndim > 2 else tuple(range(t.ndim - 1))
        if self.layer.bias is not None:
            t = t - self.layer.bias.reshape(-1, *(1,) * (v.ndim - 2))
        std, mean = t.std(axes, correction=0), t.mean(axes)
        if not bool((std > 0).all()):
            raise ValueError(
                f"WeightNorm: a unit's outputs do not vary over the batch of {x.shape[0]}; use a larger one"
            )
        self.gain.copy_(1 / std)
        if self.layer.bias is not None:
            self.layer.bias.copy_(-mean / std)


def initialize_from_data(model: nn.Module, x: Tensor) -> None:
    """Initialize every `WeightNorm` in `model` from one batch x, each from its own inputs in that pass."""

    def first(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if isinstance(module, WeightNorm):
            module.initialize(args[0])

    hooks = [m.register_forward_pre_hook(first) for m in model.modules() if isinstance(m, WeightNorm)]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()


NORM = Norm(
    "weight",
    wrap_layer=WeightNorm,
    invariant_to=frozenset({"weight scale"}),
    source="Salimans & Kingma 2016, arXiv:1602.07868",
)
