"""The scale of the weights before batch normalization: it does not matter."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import (
    Array,
    Case,
    log_uniform,
    through_unit,
    unit,
    unit_cancellation,
    unit_weight_terms,
)


def scaled_unit(rng: np.random.Generator) -> Case:
    """A `unit` case without bias and a factor a for its weights."""
    return {**unit(rng), "b": 0.0, "a": log_uniform(rng, 1e-3, 1e3)}


def without_eps(rng: np.random.Generator) -> Case:
    """The same with eps 0."""
    return {**scaled_unit(rng), "eps": 0.0}


def standardized(rng: np.random.Generator) -> Case:
    """Values of mean 0 and standard deviation 1, (m,)."""
    z = unit(rng)["dy"]
    return {"z": (z - z.mean()) / z.std()}


def at_scale(case: Case, factor: float) -> Array:
    """BN of the values at that scale, with torch's eps."""
    return BatchNorm(1, eps=1e-5).forward(factor * case["z"][:, None])


CLAIM = Claim(
    title="BatchNorm ignores the scale of weights",
    statement="The scale of the weights before batch normalization does not matter: BN(a W x) = BN(W x) for a > 0 "
    "up to eps (exactly: a divides eps by a^2), the gradient at the weights becomes a times smaller, and "
    "values that move from a scale of 100 to one of 10 do not disturb it.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.3",
    notes=("N4",),
    kind="exact",
    parts={
        "output, eps = 0": Exact(
            group="output",
            statement="BN(a W x) = BN(W x) at eps = 0",
            formula=lambda case: through_unit(case, w=case["a"] * case["w"])[1].y,
            truth=lambda case: through_unit(case)[1].y,
            draw=without_eps,
            scale=lambda case: case["gamma"] * unit_cancellation(case),
        ),
        "output, any eps": Exact(
            group="output",
            statement="BN(a W x) with eps = BN(W x) with eps / a^2",
            formula=lambda case: through_unit(case, w=case["a"] * case["w"])[1].y,
            truth=lambda case: through_unit(case, eps=case["eps"] / case["a"] ** 2)[1].y,
            draw=scaled_unit,
            scale=lambda case: case["gamma"] * unit_cancellation({**case, "eps": case["eps"] / case["a"] ** 2}),
        ),
        "gradient, eps = 0": Exact(
            statement="dL/dW at a W = dL/dW at W, over a",
            formula=lambda case: through_unit(case)[0].dW[:, 0] / case["a"],
            truth=lambda case: through_unit(case, w=case["a"] * case["w"])[0].dW[:, 0],
            draw=without_eps,
            scale=lambda case: unit_weight_terms(case) / case["a"],
        ),
        "from 100 to 10": Exact(
            statement="BN(10 z) = BN(100 z) for z of standard deviation 1, eps 1e-5",
            formula=lambda case: at_scale(case, 10),
            truth=lambda case: at_scale(case, 100),
            draw=standardized,
            scale=lambda case: np.abs(case["z"]).max(),
            tolerance=1e-6,
            rationale="eps = 1e-5 alone shrinks values of standard deviation 10 by eps/(2 * 10^2) = 5e-8",
        ),
    },
)
