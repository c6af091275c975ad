"""A bias right before batch normalization: the mean takes it away again."""

import numpy as np

from rlnorm.claims._digits import same_on_digits
from rlnorm.study.cases import Array, Case, derivative, through_unit, unit, unit_cancellation, unit_weight_terms
from rlnorm.study.claim import Arm, Claim
from rlnorm.study.exact import Exact


def bias_slope(case: Case) -> Array:
    """dL/db by a complex step through both layers."""
    return derivative(lambda b: case["dy"] @ through_unit(case, b=b)[1].y[:, 0], case["b"])


def bias_terms(case: Case) -> Array:
    """The size of the terms that make dL/db."""
    _, bn = through_unit(case)
    return np.abs(bn.dxhat).max() / bn.std * (1 + unit_cancellation(case)) * bn.m


CLAIM = Claim(
    statement="A bias right before batch normalization does nothing: output and gradients do not change with it, its "
    "own gradient is 0. (Judged beside: networks learn digits to 90 % in as many updates with it as without, to a "
    "quarter.)",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N2", "N4"),
    parts={
        "output": Exact(
            says="BN(XW + b) = BN(XW)",
            formula=lambda case: through_unit(case)[1].y,
            truth=lambda case: through_unit(case, b=0.0)[1].y,
            draw=unit,
            scale=lambda case: case["gamma"] * unit_cancellation(case),
        ),
        "weight gradient": Exact(
            says="dL/dW is the same with and without b",
            formula=lambda case: through_unit(case)[0].dW[:, 0],
            truth=lambda case: through_unit(case, b=0.0)[0].dW[:, 0],
            draw=unit,
            scale=unit_weight_terms,
        ),
        "bias gradient": Exact(
            says="dL/db = 0",
            formula=lambda case: 0.0,
            truth=bias_slope,
            draw=unit,
            scale=bias_terms,
        ),
        "training": same_on_digits("no bias", Arm(bias=False), "bias", Arm(bias=True)),
    },
    decisive=("output", "weight gradient", "bias gradient"),
)
