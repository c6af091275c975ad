r"""Dropout, and the dropout that keeps mean and variance of self-normalizing networks.

With keep probability q = 1-p and a mask m of independent Bernoulli(q):

    dropout(x) = x m / q
    alpha_dropout(x) = a (x m + alpha' (1-m)) + b,    alpha' = -lambda alpha, SELU's lower limit
        a = (q + alpha'^2 q (1-q))^(-1/2),    b = -a (1-q) alpha'

For x of mean 0 and variance 1, x m + alpha'(1-m) has mean (1-q) alpha' and variance q + alpha'^2 q (1-q): a and b take
it back to 0 and 1. Backward: dx = g m / q, and dx = a g m; m is a constant.

The mask is drawn with `torch.rand`, from a generator of one's own if one is given. Under `torch.vmap` with
`randomness="different"` each member draws its own mask, with "same" all share one.

Source: Srivastava et al. 2014, JMLR 15; Klambauer et al. 2017, arXiv:1706.02515, sec. "new dropout technique".
"""

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn.selu import ALPHA, LAMBDA

FLOOR = -LAMBDA * ALPHA


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, *, generator: torch.Generator | None = None
) -> Tensor:
    """input -> each element 0 with probability p, else divided by 1-p; as it is where not training.

    Raises ValueError for p outside [0, 1], RuntimeError for integers and bools.
    """
    require.probability(p, "dropout")
    require.floating(input, "dropout")
    if not training or p == 0:
        return input
    # 0/0 where nothing is kept
    return input * (_mask(input, 1 - p, generator) / max(1 - p, torch.finfo(input.dtype).tiny))


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, *, generator: torch.Generator | None = None
) -> Tensor:
    """input -> each element SELU's lower limit with probability p, all rescaled; as it is where not training.

    Raises ValueError for p outside [0, 1], RuntimeError for integers and bools.
    """
    require.probability(p, "alpha_dropout")
    require.floating(input, "alpha_dropout")
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    keep = 1 - p
    a = (keep + FLOOR**2 * keep * p) ** -0.5
    b = -a * p * FLOOR
    mask = _mask(input, keep, generator)
    return torch.addcmul((a * FLOOR) * (1 - mask) + b, input, a * mask)


def _mask(x: Tensor, keep: float, generator: torch.Generator | None) -> Tensor:
    return (torch.rand(x.shape, generator=generator, device=x.device) < keep).to(x.dtype)


class Dropout(nn.Module):
    """Dropout in training, the identity in eval mode. Draws from `generator`, or from torch's global one."""

    def __init__(self, p: float = 0.5, *, generator: torch.Generator | None = None):
        super().__init__()
        require.probability(p, type(self).__name__)
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        """input -> same shape."""
        return dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"p={self.p}"


class AlphaDropout(Dropout):
    """Alpha dropout in training, the identity in eval mode."""

    def forward(self, input: Tensor) -> Tensor:
        """input -> same shape."""
        return alpha_dropout(input, self.p, self.training, generator=self.generator)
