r"""Optimizers of a whole population: one matrix of parameters (N, P), one learning rate per member.

torch.optim has one rate for all parameters; here each row has its own. The updates are torch's and are tested against
it. They are in-place operations on tensors, so that a compiled update can hold them.

    Adam (Kingma & Ba 2015, arXiv:1412.6980, alg. 1):
        m <- b1 m + (1-b1) g,   v <- b2 v + (1-b2) g^2,   p <- p - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
    SGD with momentum (Polyak 1964, in torch's form; b = 0 is plain gradient descent):
        m <- b m + g,           p <- p - lr m
    RMSProp, centered (Graves 2013, arXiv:1308.0850, eqs. 38-41 without momentum, eps outside the root as torch has it):
        m <- a m + (1-a) g,     v <- a v + (1-a) g^2,       p <- p - lr g / (sqrt(v - m^2) + eps)
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Optimizer(Protocol):
    """One step for all members: gradient (N, P) -> the parameters change in place."""

    def step(self, gradient: Tensor) -> None: ...


def column(values: Sequence[float]) -> Tensor:
    """One number per member -> (N, 1) float32, to be broadcast over parameters."""
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


def clip_by_norm(gradient: Tensor, limit: float | Tensor) -> Tensor:
    """Scale each member's gradient (row of (N, P)) down to norm `limit` where it is longer; `limit` may be (N, 1)."""
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return gradient * (limit / (norm + 1e-6)).clamp(max=1.0)


class Adam:
    """Adam on `parameters` (N, P) with one rate per member; betas (0.9, 0.999) and eps 1e-8 as torch's defaults."""

    def __init__(self, parameters: Tensor, rates: Sequence[float], betas: tuple[float, float] = (0.9, 0.999)):
        self.parameters, self.rates, self.betas, self.eps = parameters, column(rates), betas, 1e-8
        self.m, self.v = torch.zeros_like(parameters), torch.zeros_like(parameters)
        # Powers of the betas live in tensors: a Python counter would be compiled in anew at every step.
        self.powers = torch.ones(2, dtype=torch.float64)
        self.decay = torch.tensor(betas, dtype=torch.float64)

    def step(self, gradient: Tensor) -> None:
        """One step; gradient (N, P)."""
        b1, b2 = self.betas
        self.powers.mul_(self.decay)
        correction1, correction2 = (1 - self.powers).to(gradient.dtype)
        self.m.mul_(b1).add_(gradient, alpha=1 - b1)
        self.v.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        denominator = (self.v.sqrt() / correction2.sqrt()).add(self.eps)
        self.parameters.sub_(self.rates / correction1 * self.m / denominator)


class SGD:
    """Gradient descent on `parameters` (N, P) with one rate per member, and one momentum for all or one per member."""

    def __init__(self, parameters: Tensor, rates: Sequence[float], momentum: float | Sequence[float] = 0.9):
        self.parameters, self.rates = parameters, column(rates)
        self.momentum = momentum if isinstance(momentum, int | float) else column(momentum)
        plain = isinstance(momentum, int | float) and momentum == 0
        self.m = None if plain else torch.zeros_like(parameters)

    def step(self, gradient: Tensor) -> None:
        """One step; gradient (N, P)."""
        if self.m is None:
            self.parameters.sub_(self.rates * gradient)
        else:
            self.m.mul_(self.momentum).add_(gradient)
            self.parameters.sub_(self.rates * self.m)


class RMSProp:
    """Centered RMSProp on `parameters` (N, P) with one rate per member; alpha and eps are the MinAtar example's.

    MinAtar (Young & Tian 2019, arXiv:1903.03176) takes them from Mnih et al. 2015. v - m^2 is a variance: where
    rounding makes it negative it counts as 0, where torch's goes on with NaN.
    """

    def __init__(self, parameters: Tensor, rates: Sequence[float], alpha: float = 0.95, eps: float = 0.01):
        self.parameters, self.rates, self.alpha, self.eps = parameters, column(rates), alpha, eps
        self.m, self.v = torch.zeros_like(parameters), torch.zeros_like(parameters)

    def step(self, gradient: Tensor) -> None:
        """One step; gradient (N, P)."""
        self.m.mul_(self.alpha).add_(gradient, alpha=1 - self.alpha)
        self.v.mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
        spread = self.v.addcmul(self.m, self.m, value=-1).clamp_(min=0).sqrt_()
        self.parameters.sub_(self.rates * gradient / spread.add_(self.eps))


OPTIMIZERS: dict[str, type[Adam] | type[SGD] | type[RMSProp]] = {"adam": Adam, "sgd": SGD, "rmsprop": RMSProp}
