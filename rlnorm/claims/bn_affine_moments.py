"""What gamma and beta set: the standard deviation and the mean of the units behind batch normalization."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Case, batch, normalized, output_terms


def promised_variance(case: Case) -> float:
    """gamma^2 var/(var+eps)."""
    var = normalized(case).var[0]
    return float(case["gamma"] ** 2 * var / (var + case["eps"]))


def without_eps(rng: np.random.Generator) -> Case:
    """A `batch` case with eps 0."""
    return {**batch(rng), "eps": 0.0}


CLAIM = Claim(
    title="gamma and beta set spread and mean",
    statement="gamma and beta set standard deviation and mean of the normalized units: over the batch y has mean "
    "beta and variance gamma^2 var/(var+eps), so that at eps = 0 its standard deviation is |gamma|.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N2",),
    kind="exact",
    parts={
        "mean": Exact(
            statement="<y> = beta",
            formula=lambda case: case["beta"],
            truth=lambda case: normalized(case).y.mean(),
            draw=batch,
            scale=output_terms,
        ),
        "variance": Exact(
            statement="<(y-beta)^2> = gamma^2 var/(var+eps)",
            formula=promised_variance,
            truth=lambda case: normalized(case).y.var(),
            draw=batch,
            scale=lambda case: output_terms(case) ** 2,
        ),
        "standard deviation, eps = 0": Exact(
            statement="<(y-beta)^2>^(1/2) = |gamma|",
            formula=lambda case: abs(case["gamma"]),
            truth=lambda case: normalized(case).y.std(),
            draw=without_eps,
            scale=output_terms,
        ),
    },
)
