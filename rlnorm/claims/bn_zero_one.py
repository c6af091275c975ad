"""The range of normalized data."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, epsilon, scale, size, values


def draw(rng: np.random.Generator) -> Case:
    """m values, in half of the cases all equal but one, which makes the largest xhat there is."""
    m = size(rng)
    one_apart = scale(rng) * rng.choice([-1, 1]) * (np.arange(m) == 0)
    return {"x": values(rng, m) if rng.random() < 0.5 else one_apart, "eps": epsilon(rng)}


def xhat(case: Case) -> Array:
    """N4's formula, (x - mu) / (var+eps)^(1/2)."""
    return BatchNorm(1, eps=case["eps"]).forward(case["x"][:, None])


def bound(case: Case) -> float:
    """(m-1)^(1/2)."""
    return float(np.sqrt(len(case["x"]) - 1))


CLAIM = Claim(
    title="Normalizing brings data between 0 and 1",
    statement="Normalizing data by N4's formula, xhat = (x-mu) / (var+eps)^(1/2), brings it into the range from 0 "
    "to 1.",
    source="study note N4",
    notes=("N4",),
    kind="exact",
    parts={
        "from 0": Exact(
            statement="xhat >= 0", formula=xhat, truth=lambda case: 0.0, draw=draw, scale=bound, relation=">="
        ),
        "to 1": Exact(
            statement="xhat <= 1", formula=xhat, truth=lambda case: 1.0, draw=draw, scale=bound, relation="<="
        ),
        "the range there is": Exact(
            statement="|xhat| <= (m-1)^(1/2), reached by one value apart from all others, which are equal",
            formula=lambda case: np.abs(xhat(case)),
            truth=bound,
            draw=draw,
            scale=bound,
            relation="<=",
        ),
    },
)
