"""Scale and shift before the activation, or behind it as note N0's steps 3 and 4 have it."""

import numpy as np

from rlnorm.claims._digits import same_on_digits
from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import ReLU, Sigmoid, Tanh
from rlnorm.textbook.random_cases import Array, Case, batch, linear, normalized, size, values

ACTIVATIONS = (ReLU, Sigmoid, Tanh)


def draw(rng: np.random.Generator) -> Case:
    """A `batch` case and one of three activations."""
    return {**batch(rng), "activation": int(rng.integers(len(ACTIVATIONS)))}


def standard(rng: np.random.Generator) -> Case:
    """The same with gamma = 1 and beta = 0."""
    return {**draw(rng), "gamma": 1.0, "beta": 0.0}


def positive_relu(rng: np.random.Generator) -> Case:
    """ReLU with gamma > 0 and beta = 0."""
    case = draw(rng)
    return {**case, "gamma": abs(case["gamma"]), "beta": 0.0, "activation": ACTIVATIONS.index(ReLU)}


def activated(case: Case, x: Array) -> Array:
    """The case's activation of x."""
    return ACTIVATIONS[case["activation"]]().forward(x)


def affine_behind(case: Case) -> Array:
    """gamma f(xhat) + beta, the order of N0's steps."""
    return case["gamma"] * activated(case, normalized(case).xhat) + case["beta"]


def affine_before(case: Case) -> Array:
    """f(gamma xhat + beta), the order of the paper."""
    return activated(case, normalized(case).y)


def terms(case: Case) -> float:
    """The size of both sides, and of what x - mu loses."""
    bn = normalized(case)
    return float(abs(case["gamma"]) * (1 + np.abs(bn.x).max() / bn.std[0]) + abs(case["beta"]))


def two_layers(rng: np.random.Generator) -> Case:
    """Activated rows, a scale and a shift for each feature, and the Linear layer behind."""
    m, inputs, outputs = size(rng), size(rng, 1, 8), size(rng, 1, 8)
    return {
        "a": values(rng, m, inputs),
        "gamma": rng.normal(size=inputs),
        "beta": rng.normal(size=inputs),
        "W": rng.normal(size=(inputs, outputs)),
        "b": rng.normal(size=outputs),
    }


CLAIM = Claim(
    title="Scale and shift may follow the activation",
    statement="Scale and shift behind the activation, y = gamma f(xhat) + beta, do the same as before it, "
    "y = f(gamma xhat + beta): as functions, and in how many updates a network reaches 90 % on digits (by a quarter).",
    source="study note N0, steps 3 and 4",
    notes=("N0",),
    kind="exact",
    parts={
        "as functions": Exact(
            statement="gamma f(xhat) + beta = f(gamma xhat + beta), f ReLU (0), sigmoid (1) or tanh (2)",
            formula=affine_behind,
            truth=affine_before,
            draw=draw,
            scale=terms,
        ),
        "where they agree, gamma = 1 and beta = 0": Exact(
            group="where they agree",
            statement="the same for gamma = 1, beta = 0, as training starts",
            formula=affine_behind,
            truth=affine_before,
            draw=standard,
            scale=terms,
        ),
        "where they agree, ReLU": Exact(
            group="where they agree",
            statement="gamma ReLU(xhat) = ReLU(gamma xhat) for gamma > 0, beta = 0",
            formula=affine_behind,
            truth=affine_before,
            draw=positive_relu,
            scale=terms,
        ),
        "scale and shift behind f fold into the next layer": Exact(
            statement="(gamma a + beta) W + b = a (gamma W) + (beta W + b): the next layer can do all that they do",
            formula=lambda case: linear(
                case["gamma"][:, None] * case["W"], case["beta"] @ case["W"] + case["b"]
            ).forward(case["a"]),
            truth=lambda case: linear(case["W"], case["b"]).forward(case["gamma"] * case["a"] + case["beta"]),
            draw=two_layers,
            scale=lambda case: (
                (np.abs(case["gamma"] * case["a"]) + np.abs(case["beta"])) @ np.abs(case["W"]) + np.abs(case["b"])
            ),
        ),
        "training": same_on_digits("behind", {"place": "split"}, "before", {"place": "before"}),
    },
)
