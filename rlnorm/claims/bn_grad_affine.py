"""Note N0's gradients at the scale and shift of batch normalization, against the slope of y = gamma xhat + beta."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.complex_step import derivative, derivative_by_column
from rlnorm.textbook.random_cases import Array, Case, backpropagated, batch, normalized


def xhat_slope(case: Case) -> Array:
    """dL/dxhat (m,) of L = sum dL/dy (gamma xhat + beta)."""
    xhat = normalized(case).xhat[:, 0]
    dy, gamma, beta = case["dy"][:, None], case["gamma"], case["beta"]
    return derivative_by_column(lambda xhat: (dy * (gamma * xhat + beta)).sum(axis=0), xhat)


def parameter_slope(case: Case, name: str) -> Array:
    """dL/dgamma or dL/dbeta through the textbook's forward pass."""
    return derivative(lambda number: case["dy"] @ normalized({**case, name: number}).y[:, 0], case[name])


CLAIM = Claim(
    title="Gradients of gamma, beta and xhat",
    statement="At the scale and shift: dL/dxhat = dL/dy gamma, dL/dgamma = sum dL/dy xhat, dL/dbeta = sum dL/dy.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N0",),
    kind="exact",
    parts={
        "dL/dxhat": Exact(
            statement="dxhat = dy gamma",
            formula=lambda case: backpropagated(case).dxhat[:, 0],
            truth=xhat_slope,
            draw=batch,
            scale=lambda case: np.abs(case["dy"]).max() * abs(case["gamma"]),
        ),
        "dL/dgamma": Exact(
            statement="dgamma = sum dy xhat",
            formula=lambda case: backpropagated(case).dgamma[0],
            truth=lambda case: parameter_slope(case, "gamma"),
            draw=batch,
            scale=lambda case: np.abs(case["dy"]) @ np.abs(normalized(case).xhat[:, 0]),
        ),
        "dL/dbeta": Exact(
            statement="dbeta = sum dy",
            formula=lambda case: backpropagated(case).dbeta[0],
            truth=lambda case: parameter_slope(case, "beta"),
            draw=batch,
            scale=lambda case: np.abs(case["dy"]).sum(),
        ),
    },
)
