"""Batch normalization undone by its own scale and shift."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Array, Case, batch, normalized


def undone(case: Case) -> Array:
    """y (m,) with gamma = (var+eps)^(1/2) and beta = mu."""
    bn = normalized(case)
    return normalized({**case, "gamma": bn.std[0], "beta": bn.mu[0]}).y[:, 0]


CLAIM = Claim(
    title="gamma and beta can undo BatchNorm",
    statement="With gamma = (var+eps)^(1/2) and beta = mu batch normalization is the identity, so it can represent the "
    "network without it.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N3",),
    kind="exact",
    parts={
        "formula": Exact(
            statement="y = x for gamma = (var+eps)^(1/2), beta = mu",
            formula=undone,
            truth=lambda case: case["x"],
            draw=batch,
            scale=lambda case: np.abs(case["x"]).max(),
        )
    },
)
