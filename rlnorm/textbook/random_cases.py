"""Random cases for statements about every batch, as the exact claims make them.

A case is a mapping of names to numbers and arrays. Sizes run from 2 to 512, scales from 1e-6 to 1e6 (both log-uniform,
so that small and large are equally common), eps from 0 to 1 (exactly 0 in a quarter of the cases).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnorm.textbook.batch import BatchNorm
from rlnorm.textbook.linear import Linear

Array = NDArray[Any]
Case = Mapping[str, Any]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from low to high whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def size(rng: np.random.Generator, low: int = 2, high: int = 512) -> int:
    """A whole number from low to high, log-uniform: every doubling is equally likely."""
    return min(int(log_uniform(rng, low, high + 1)), high)


def scale(rng: np.random.Generator) -> float:
    """A scale from 1e-6 to 1e6, log-uniform."""
    return log_uniform(rng, 1e-6, 1e6)


def epsilon(rng: np.random.Generator) -> float:
    """An eps from 0 to 1: exactly 0 in a quarter of the cases, else log-uniform from 1e-12."""
    return 0.0 if rng.random() < 0.25 else log_uniform(rng, 1e-12, 1.0)


def values(rng: np.random.Generator, *shape: int) -> Array:
    """Numbers of one random scale, their mean up to three standard deviations from 0."""
    return scale(rng) * (rng.normal(size=shape) + rng.uniform(-3, 3))


def batch(rng: np.random.Generator, low: int = 2, high: int = 512) -> Case:
    """One feature through BN: x and dL/dy (m,), gamma and beta of either sign, eps."""
    m = size(rng, low, high)
    return {
        "x": values(rng, m),
        "dy": values(rng, m),
        "gamma": float(rng.choice([-1, 1])) * log_uniform(rng, 0.1, 10),
        "beta": float(rng.normal()),
        "eps": epsilon(rng),
    }


def normalized(case: Case, x: Array | None = None) -> BatchNorm:
    """The textbook's BN after the forward pass of a `batch` case; `x` (m, features) instead of its one feature."""
    bn = BatchNorm(1, eps=case["eps"])
    bn.gamma, bn.beta = np.array([case["gamma"]]), np.array([case["beta"]])
    bn.forward(case["x"][:, None] if x is None else x)
    return bn


def backpropagated(case: Case) -> BatchNorm:
    """The textbook's BN after forward and backward pass of a `batch` case."""
    bn = normalized(case)
    bn.backward(case["dy"][:, None])
    return bn


def linear(W: Array, b: Array) -> Linear:
    """The textbook's layer with weights W (inputs, outputs) and bias b (outputs,)."""
    layer = Linear(W.shape[0], W.shape[1], np.random.default_rng(0))
    layer.W, layer.b = W, b
    return layer


def unit(rng: np.random.Generator) -> Case:
    """One unit of a Linear layer and BN after it: rows x (m, inputs), weights w (inputs,), bias b, dL/dy (m,)."""
    m, inputs = size(rng), size(rng, 1, 16)
    x, w = values(rng, m, inputs), rng.normal(size=inputs)
    return {
        "x": x,
        "w": w,
        "b": float(np.abs(x @ w).max() * rng.normal()),
        "dy": rng.normal(size=m),
        "gamma": log_uniform(rng, 0.1, 10),
        "eps": epsilon(rng),
    }


def through_unit(case: Case, **changed: Any) -> tuple[Linear, BatchNorm]:
    """Linear and BN of a `unit` case after forward and backward pass, some of its numbers `changed` before."""
    case = {**case, **changed}
    layer, bn = linear(case["w"][:, None], np.reshape(case["b"], 1)), BatchNorm(1, eps=case["eps"])
    bn.gamma = np.array([case["gamma"]])
    bn.forward(layer.forward(case["x"]))
    layer.backward(bn.backward(case["dy"][:, None]))
    return layer, bn


def unit_cancellation(case: Case) -> float:
    """max |z| / std in a `unit` case, b counted apart: how much larger than z - mu the numbers are that make it."""
    layer, bn = through_unit(case)
    return float((np.abs(layer.y).max() + 2 * abs(case["b"])) / bn.std[0])


def unit_weight_terms(case: Case) -> Array:
    """The size of the terms that make dL/dw (inputs,) in a `unit` case."""
    _, bn = through_unit(case)
    return np.abs(bn.dxhat).max() / bn.std * (1 + unit_cancellation(case)) * np.abs(case["x"]).sum(axis=0)


def output_terms(case: Case) -> float:
    """The size of the numbers that make y in a `batch` case: x / std before the mean is taken off, gamma and beta."""
    bn = normalized(case)
    return float(abs(case["gamma"]) * np.abs(bn.x).max() / bn.std[0] + abs(case["beta"]))


def input_terms(case: Case) -> float:
    """The size of the terms that make dL/dx in a `batch` case: max |dL/dxhat| / std."""
    bn = backpropagated(case)
    return float(np.abs(bn.dxhat).max() / bn.std[0])
