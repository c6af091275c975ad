"""Note N1's gradient at the variance, against the slope of the forward pass from the variance on."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.complex_step import derivative
from rlnorm.textbook.random_cases import Array, Case, backpropagated, batch


def slope(case: Case) -> Array:
    """dL/dvar with x and mu held: L(var) = sum dL/dy (gamma (x-mu) (var+eps)^(-1/2) + beta)."""
    bn = backpropagated(case)
    deviations = (bn.x - bn.mu)[:, 0]
    return derivative(
        lambda var: case["dy"] @ (bn.gamma * deviations * (var + case["eps"]) ** (-1 / 2) + bn.beta), bn.var[0]
    )


def terms(case: Case) -> float:
    """The formula's sum with all its terms taken as positive."""
    bn = backpropagated(case)
    return float(1 / 2 * np.abs(bn.dxhat * (bn.x - bn.mu)).sum() / bn.std[0] ** 3)


CLAIM = Claim(
    title="Gradient of the batch variance",
    statement="The gradient at the batch's variance is dL/dvar = -1/2 sum dL/dxhat (x-mu) (var+eps)^(-3/2).",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N1",),
    kind="exact",
    parts={
        "formula": Exact(
            statement="dvar = -1/2 sum dxhat (x-mu) (var+eps)^(-3/2)",
            formula=lambda case: backpropagated(case).dvar[0],
            truth=slope,
            draw=batch,
            scale=terms,
        )
    },
)
