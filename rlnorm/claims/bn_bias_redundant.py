"""A bias right before batch normalization: the mean takes it away again."""

import numpy as np

from rlnorm.claims._digits import same_on_digits
from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.complex_step import derivative
from rlnorm.textbook.random_cases import Array, Case, through_unit, unit, unit_cancellation, unit_weight_terms


def bias_slope(case: Case) -> Array:
    """dL/db by a complex step through both layers."""
    return derivative(lambda b: case["dy"] @ through_unit(case, b=b)[1].y[:, 0], case["b"])


def bias_terms(case: Case) -> Array:
    """The size of the terms that make dL/db."""
    _, bn = through_unit(case)
    return np.abs(bn.dxhat).max() / bn.std * (1 + unit_cancellation(case)) * bn.m


CLAIM = Claim(
    title="A bias before BatchNorm does nothing",
    statement="A bias right before batch normalization does nothing: output and gradients do not change with it, its "
    "own gradient is 0. (Judged beside: networks learn digits to 90 % in as many updates with it as without, to a "
    "quarter.)",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N2", "N4"),
    kind="exact",
    parts={
        "output": Exact(
            statement="BN(XW + b) = BN(XW)",
            formula=lambda case: through_unit(case)[1].y,
            truth=lambda case: through_unit(case, b=0.0)[1].y,
            draw=unit,
            scale=lambda case: case["gamma"] * unit_cancellation(case),
        ),
        "weight gradient": Exact(
            statement="dL/dW is the same with and without b",
            formula=lambda case: through_unit(case)[0].dW[:, 0],
            truth=lambda case: through_unit(case, b=0.0)[0].dW[:, 0],
            draw=unit,
            scale=unit_weight_terms,
        ),
        "bias gradient": Exact(
            statement="dL/db = 0",
            formula=lambda case: 0.0,
            truth=bias_slope,
            draw=unit,
            scale=bias_terms,
        ),
        "training": same_on_digits("no bias", {"bias": False}, "bias", {"bias": True}, decisive=False),
    },
)
