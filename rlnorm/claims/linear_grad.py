"""Note N0's gradients of the Linear layer before batch normalization: with the true dL/dZ, and with the note's own."""

from collections.abc import Callable
from functools import partial

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import (
    BatchNorm,
    Linear,
    Network,
    ReLU,
    Sigmoid,
    SquaredError,
    Tanh,
    input_gradient,
    short_input_gradient,
)
from rlnorm.textbook.complex_step import derivative
from rlnorm.textbook.random_cases import Array, Case, epsilon, linear, size, values

ACTIVATIONS = (ReLU, Sigmoid, Tanh)


def draw(rng: np.random.Generator) -> Case:
    """Rows X (m, inputs), weights W and bias b, targets (m, outputs), one of three activations."""
    m, inputs, outputs = size(rng), size(rng, 1, 3), size(rng, 1, 3)
    return {
        "X": values(rng, m, inputs),
        "W": rng.normal(size=(inputs, outputs)),
        "b": rng.normal(size=outputs),
        "target": rng.normal(size=(m, outputs)),
        "activation": int(rng.integers(len(ACTIVATIONS))),
        "eps": epsilon(rng),
    }


def network(
    case: Case, changed: Case | None = None, dx: Callable[[BatchNorm], Array] = input_gradient
) -> tuple[Array, Linear, BatchNorm]:
    """The squared error after Linear-BN-activation, with both layers after their backward pass."""
    case = {**case, **(changed or {})}
    layer, loss = linear(case["W"], case["b"]), SquaredError()
    bn = BatchNorm(len(case["b"]), eps=case["eps"], dx=dx)
    layers = Network(layer, bn, ACTIVATIONS[case["activation"]]())
    error = loss.forward(layers.forward(case["X"]), case["target"])
    layers.backward(loss.backward())
    return error, layer, bn


def note(case: Case, name: str, dx: Callable[[BatchNorm], Array] = input_gradient) -> Array:
    """dL/dW = X^T dL/dZ or dL/db = sum dL/dZ."""
    layer = network(case, dx=dx)[1]
    return layer.dW if name == "W" else layer.db


def slope(case: Case, name: str) -> Array:
    """The same by complex steps through the whole network."""
    return derivative(lambda number: network(case, {name: number})[0], case[name])


def terms(case: Case, name: str) -> Array:
    """The size of the terms that are added up: dL/dxhat / std for each row, times x for W; and what x - mu cancels."""
    _, layer, bn = network(case)
    each = np.abs(bn.dxhat).max(axis=0) / bn.std * (1 + np.abs(layer.y).max(axis=0) / bn.std) + 1e-300
    return np.abs(case["X"]).sum(axis=0)[:, None] * each if name == "W" else bn.m * each


CLAIM = Claim(
    title="Gradients of a layer before BatchNorm",
    statement="Before batch normalization dL/dW = X^T dL/dZ and dL/db = sum dL/dZ, through a whole network of Linear, "
    "BN, activation and loss, with the true dL/dZ. (Judged beside: with note N0's own dL/dZ.)",
    source="chain rule; study note N0",
    notes=("N0",),
    kind="exact",
    parts={
        f"{name}, {which} dL/dZ": Exact(
            statement=f"{words}, with dL/dZ from {source}",
            formula=partial(note, name=name, dx=dx),
            truth=partial(slope, name=name),
            draw=draw,
            scale=partial(terms, name=name),
            group=name,
            decisive=which == "true",
        )
        for which, source, dx in (
            ("true", "the whole derivation", input_gradient),
            ("short", "the note's short formula", short_input_gradient),
        )
        for name, words in (("W", "dW = X^T dZ"), ("b", "db = sum dZ"))
    },
)
