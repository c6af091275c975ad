"""Weight normalization leaves the mean of the pre-activations alone; mean-only batch normalization sets it."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import MeanOnlyBatchNorm, WeightNormLinear
from rlnorm.textbook.random_cases import Array, Case, size, values


def draw(rng: np.random.Generator) -> Case:
    """Rows x (m, d), weights v (d, k), lengths g (k,), and shifts beta (k,) for mean-only BN."""
    m, d, k = size(rng), size(rng, 2, 16), size(rng, 1, 8)
    return {
        "x": values(rng, m, d),
        "v": rng.normal(size=(d, k)),
        "g": np.exp(rng.normal(size=k)),
        "beta": rng.normal(size=k),
    }


def weight_normalized(case: Case) -> Array:
    """Z (m, k) of the textbook's layer, b = 0."""
    layer = WeightNormLinear(len(case["v"]), len(case["g"]), np.random.default_rng(0))
    layer.v, layer.g = case["v"], case["g"]
    return layer.forward(case["x"])


def centred(case: Case) -> Array:
    """The same behind mean-only BN."""
    norm = MeanOnlyBatchNorm(len(case["beta"]))
    norm.beta = case["beta"]
    return norm.forward(weight_normalized(case))


def terms(case: Case) -> Array:
    """The size of the terms of Z, (k,)."""
    directions = np.abs(case["v"]) / np.linalg.norm(case["v"], axis=0)
    return np.abs(case["x"]).max(axis=0) @ (case["g"] * directions)


CLAIM = Claim(
    title="Weight norm leaves the mean free",
    statement="Weight normalization does not fix the mean of the pre-activations, which is g v/|v| times the mean "
    "input; mean-only batch normalization does: it makes it beta.",
    source="Salimans & Kingma 2016, arXiv:1602.07868, sec. 4",
    notes=("N4",),
    kind="exact",
    parts={
        "WN passes the mean on": Exact(
            statement="<z> = g v/|v| . <x>",
            formula=lambda case: case["x"].mean(axis=0) @ (case["g"] * case["v"] / np.linalg.norm(case["v"], axis=0)),
            truth=lambda case: weight_normalized(case).mean(axis=0),
            draw=draw,
            scale=terms,
        ),
        "WN does not fix it": Exact(
            statement="some |<z>| is more than 1e-6 of the terms of z",
            formula=lambda case: (np.abs(weight_normalized(case).mean(axis=0)) / terms(case)).max(),
            truth=lambda case: 1e-6,
            draw=draw,
            scale=lambda case: 1.0,
            rationale="a mean of 1e-6 of the terms is far above rounding",
            relation=">=",
        ),
        "mean-only BN fixes it": Exact(
            statement="<z - mu + beta> = beta",
            formula=lambda case: case["beta"],
            truth=lambda case: centred(case).mean(axis=0),
            draw=draw,
            scale=lambda case: terms(case) + np.abs(case["beta"]),
        ),
    },
)
