r"""Spectral normalization: a layer's weight divided by an estimate of its largest singular value.

    w = W / sigma,    sigma = u' W v,    W as a matrix (out, in)

u and v are unit vectors that power iteration moves towards the leading singular vectors, v <- W'u / |W'u| and
u <- W v / |W v|, one step in each updating pass. They are kept in `running_u` and `running_v`, so that they reach a
target network with the rest of the statistics.

Backward. d sigma/dW = u v', and with G = dL/dw

    dL/dW = G / sigma - <G, W> u v' / sigma^2
    dL/du = -<G, W> W v / sigma^2,    dL/dv = -<G, W> W'u / sigma^2      (not used: u and v are constants of the layer)

In the mode `train` u and v depend on W through the iteration, and no gradient goes that way: so the paper defines it.

Source: Miyato et al. 2018, arXiv:1802.05957.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._autograd import Grads, Kernel, join
from rlnorm.nn._averages import before_update
from rlnorm.nn._wrap import Reparametrized
from rlnorm.nn.norm import Norm

FIRST_STEPS = 15


def forward(matrix: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor]:
    """W (out, in), u (out, 1), v (in, 1) -> W / sigma."""
    return (matrix / (u * (matrix @ v)).sum((-2, -1), keepdim=True),)


def backward(grads: Grads, saved: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of w -> (dW, du, dv)."""
    (g,) = grads
    matrix, u, v = saved
    if g is None:
        return torch.zeros_like(matrix), torch.zeros_like(u), torch.zeros_like(v)
    along_u = matrix @ v
    sigma = (u * along_u).sum((-2, -1), keepdim=True)
    slope = -(g * matrix).sum((-2, -1), keepdim=True) / sigma.square()
    return g / sigma + slope * (u @ v.mT), slope * along_u, slope * (matrix.mT @ u)


KERNEL = Kernel(forward, backward)
divide_by_sigma = join(KERNEL)


class SpectralNorm(Reparametrized):
    """A Linear or Conv with its weight divided by its largest singular value, estimated by power iteration.

    Modes: `train` iterates and uses the new vectors, `track` uses the old ones and iterates, `batch` and `eval` do not.
    The first vectors come from a fixed generator and `FIRST_STEPS` iterations.
    """

    def __init__(self, layer: nn.Module):
        super().__init__(layer)
        matrix = self.layer.weight.detach().flatten(1)
        self.running_u: Tensor
        self.running_v: Tensor
        self.register_buffer("running_u", matrix.new_empty(matrix.shape[0], 1))
        self.register_buffer("running_v", matrix.new_empty(matrix.shape[1], 1))
        self.restart()

    @torch.no_grad()
    def restart(self) -> None:
        """Singular vectors of the present weight, by `FIRST_STEPS` iterations from fixed random ones."""
        matrix = self.layer.weight.flatten(1)
        u = torch.randn(matrix.shape[0], 1, generator=torch.Generator().manual_seed(0)).to(matrix)
        for _ in range(FIRST_STEPS):
            u, v = iterate(matrix, u)
            self.running_u.copy_(u)
            self.running_v.copy_(v)

    def effective_weight(self) -> Tensor:
        """W / sigma, of W's shape."""
        weight = self.layer.weight
        matrix = weight.flatten(1)
        u, v = self.running_u, self.running_v
        if self.updates_running:
            require.updatable(self, running_u=matrix)
            u, v = before_update(u), before_update(v)
            with torch.no_grad():
                new_u, new_v = iterate(matrix.detach(), u)
                self.running_u.copy_(new_u)
                self.running_v.copy_(new_v)
            if self.uses_batch:
                u, v = new_u, new_v
        return divide_by_sigma(matrix, u, v)[0].reshape(weight.shape)


def iterate(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One step of power iteration: W (out, in), u (out, 1) -> the next u and v (in, 1), of length 1."""
    v = _unit(matrix.mT @ u)
    return _unit(matrix @ v), v


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum((-2, -1), keepdim=True).sqrt().clamp(min=1e-12)


NORM = Norm(
    "spectral",
    wrap_layer=SpectralNorm,
    invariant_to=frozenset({"weight scale"}),
    constants_in=frozenset({"train"}),
    source="Miyato et al. 2018, arXiv:1802.05957",
)
