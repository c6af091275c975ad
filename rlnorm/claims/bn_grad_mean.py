"""Note N1's gradient at the mean, against the slope of the forward pass, the path through the variance included."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.complex_step import derivative
from rlnorm.textbook.random_cases import Array, Case, backpropagated, batch


def slope(case: Case) -> Array:
    """dL/dmu with x held, through xhat and through var(mu) = <(x-mu)^2>."""
    x, eps, gamma, beta = (case[name] for name in ("x", "eps", "gamma", "beta"))

    def loss(mu: Array) -> Array:
        var = ((x - mu) ** 2).sum() / len(x)
        return case["dy"] @ (gamma * (x - mu) * (var + eps) ** (-1 / 2) + beta)

    return derivative(loss, backpropagated(case).mu[0])


def path_through_variance(case: Case) -> float:
    """dL/dvar times dvar/dmu = -2/m sum (x-mu)."""
    bn = backpropagated(case)
    return float(bn.dvar[0] * -2 / bn.m * (bn.x - bn.mu).sum())


def terms(case: Case) -> float:
    """All terms of dL/dmu taken as positive, those that cancel in sum (x-mu) too."""
    bn = backpropagated(case)
    direct = np.abs(bn.dxhat).sum() / bn.std[0]
    return float(direct + np.abs(bn.dxhat * (bn.x - bn.mu)).sum() / bn.std[0] ** 3 * np.abs(bn.x).max())


CLAIM = Claim(
    title="Gradient of the batch mean",
    statement="The gradient at the batch's mean is dL/dmu = -(var+eps)^(-1/2) sum dL/dxhat: its path through the "
    "variance vanishes, since deviations from a mean add up to 0.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N1",),
    kind="exact",
    parts={
        "formula": Exact(
            statement="dmu = -(var+eps)^(-1/2) sum dxhat",
            formula=lambda case: backpropagated(case).dmu[0],
            truth=slope,
            draw=batch,
            scale=terms,
        ),
        "path through the variance": Exact(
            statement="dvar (-2/m) sum (x-mu) = 0",
            formula=path_through_variance,
            truth=lambda case: 0.0,
            draw=batch,
            scale=terms,
        ),
    },
)
