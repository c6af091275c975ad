r"""How the loss changes around the weights: along the gradient, and by the eigenvalues of its Hessian.

Along the gradient g, at steps a times the member's learning rate lr, with L the loss of one batch:

    loss_low, loss_high   min, max over a of L(w - a lr g) - L(w)
    gradient_turn         max over a of |g(w - a lr g) - g| / |g|
    smoothness            max over a of |g(w - a lr g) - g| / (a lr |g|)       (Santurkar et al. 2018, sec. 3.1)

Hessian. Products with a vector are H v = d<g, v>/dw, so H is never formed. From a random start, k of them make by
Lanczos' recurrence an orthonormal basis Q in which H is tridiagonal, T = Q' H Q; the extreme eigenvalues of T
approach those of H from inside (Golub & Van Loan, Matrix Computations, sec. 10.1). The basis is orthogonalized anew at
each step, without which rounding would count eigenvalues several times.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ALONG = (0.25, 0.5, 1.0, 2.0, 4.0)
PRODUCTS = 20

Loss = Callable[[Tensor], Tensor]
"""Parameters of all members (N, P) -> loss of each (N,), where no member's loss depends on another's parameters."""


def gradient_of(loss: Loss, parameters: Tensor, keep_graph: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(N, P) -> loss (N,), gradient (N, P), and the leaf it was taken at."""
    leaf = parameters.detach().clone().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=keep_graph)
    return value, gradient, leaf


def along_gradient(loss: Loss, parameters: Tensor, rates: Tensor, steps: Sequence[float] = ALONG) -> dict[str, Tensor]:
    """The four measures above, (N,) each; parameters (N, P), rates (N, 1)."""
    start, g, _ = gradient_of(loss, parameters)
    rises, turns, slopes = list[Tensor](), list[Tensor](), list[Tensor]()
    size = g.norm(dim=1)
    for a in steps:
        value, there, _ = gradient_of(loss, parameters - a * rates * g)
        change = (there - g).norm(dim=1)
        rises.append((value - start).detach())
        turns.append(change / size)
        slopes.append(change / (a * rates.squeeze(1) * size))
    rise = torch.stack(rises)
    return {
        "loss_low": rise.amin(0),
        "loss_high": rise.amax(0),
        "gradient_turn": torch.stack(turns).amax(0),
        "smoothness": torch.stack(slopes).amax(0),
    }


def hessian_ends(loss: Loss, parameters: Tensor, products: int = PRODUCTS) -> tuple[Tensor, Tensor]:
    """Smallest and largest eigenvalue of each member's Hessian, (N,) both, from so many products with vectors."""
    _, g, leaf = gradient_of(loss, parameters, keep_graph=True)

    def product(v: Tensor) -> Tensor:
        (hv,) = torch.autograd.grad((g * v).sum(), leaf, retain_graph=True)
        return hv

    return lanczos(product, parameters, products)


@torch.no_grad()
def lanczos(product: Callable[[Tensor], Tensor], like: Tensor, products: int) -> tuple[Tensor, Tensor]:
    """Extreme eigenvalues, (N,) both, of the symmetric matrices that `product` applies to the rows of (N, P).

    NaN for a member whose products are not finite.
    """
    members, size = like.shape
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=like.dtype)
    q = (start / start.norm()).expand(members, size)
    basis, diagonal, beside = list[Tensor](), list[Tensor](), list[Tensor]()
    for _ in range(min(products, size)):
        basis.append(q)
        with torch.enable_grad():
            w = product(q)
        diagonal.append((w * q).sum(1))
        largest = w.norm(dim=1)
        known = torch.stack(basis, 1)
        for _ in range(2):
            w = w - ((known @ w.unsqueeze(2)) * known).sum(1)
        length = w.norm(dim=1)
        # An invariant subspace was found: what is left is rounding, and T ends here.
        length = torch.where(length > 1e-5 * largest, length, 0)
        beside.append(length)
        q = torch.where((length > 0).unsqueeze(1), w / length.unsqueeze(1), 0)
    t = torch.diag_embed(torch.stack(diagonal, 1).double())
    if len(basis) > 1:
        offset = torch.diag_embed(torch.stack(beside[:-1], 1).double(), 1)
        t = t + offset + offset.mT
    finite = t.isfinite().all(2).all(1)
    values = torch.linalg.eigvalsh(torch.where(finite.view(-1, 1, 1), t, 0))
    low, high = (torch.where(finite, values[:, i], torch.nan).to(like.dtype) for i in (0, -1))
    return low, high
