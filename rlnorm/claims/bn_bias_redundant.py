"""A bias right before batch normalization: the mean takes it away again."""

from functools import partial

import numpy as np

from rlnorm.study.cases import Array, Case, derivative, epsilon, log_uniform, size, values
from rlnorm.study.claim import Arm, Claim, Effect, Supervised
from rlnorm.study.exact import Exact
from rlnorm.study.judge import Question
from rlnorm.textbook import BatchNorm, Linear


def layer(rng: np.random.Generator) -> Case:
    """Rows X (m, inputs) through one unit of a Linear layer, w (inputs,), bias b, then BN; dL/dy (m,)."""
    m, inputs = size(rng), size(rng, 1, 16)
    x, w = values(rng, m, inputs), rng.normal(size=inputs)
    b = np.abs(x @ w).max() * rng.normal()
    return {"x": x, "w": w, "b": b, "dy": rng.normal(size=m), "gamma": log_uniform(rng, 0.1, 10), "eps": epsilon(rng)}


def passed(case: Case, b: Array | float) -> tuple[Linear, BatchNorm]:
    """Both layers of the textbook after forward and backward pass, with `b` for a bias."""
    linear, bn = Linear(len(case["w"]), 1, np.random.default_rng(0)), BatchNorm(1, eps=case["eps"])
    linear.W, linear.b, bn.gamma = case["w"][:, None], np.reshape(b, 1), np.array([case["gamma"]])
    bn.forward(linear.forward(case["x"]))
    linear.backward(bn.backward(case["dy"][:, None]))
    return linear, bn


def output(case: Case, *, bias: bool) -> Array:
    """y (m,)."""
    return passed(case, case["b"] if bias else 0.0)[1].y[:, 0]


def weight_gradient(case: Case, *, bias: bool) -> Array:
    """dL/dW (inputs,)."""
    return passed(case, case["b"] if bias else 0.0)[0].dW[:, 0]


def bias_slope(case: Case) -> Array:
    """dL/db by a complex step through both layers."""
    return derivative(lambda b: case["dy"] @ passed(case, b)[1].y[:, 0], case["b"])


def size_of_output(case: Case) -> float:
    """|y|, with x - mu taken as large as the numbers it is the difference of."""
    linear, bn = passed(case, case["b"])
    return float((np.abs(linear.y).max() + np.abs(case["b"])) * np.abs(bn.gamma / bn.std).max())


def size_of_input_gradient(case: Case) -> float:
    """max |dL/dxhat| / std, and the loss of digits where x - mu is the difference of larger numbers."""
    linear, bn = passed(case, case["b"])
    lost = (np.abs(linear.y).max() + np.abs(case["b"])) / bn.std.max()
    return float(np.abs(bn.dxhat).max() / bn.std.max() * (1 + lost))


CLAIM = Claim(
    statement="A bias right before batch normalization does nothing: output and gradients do not change with it, "
    "its own gradient is 0, and training with and without it ends at the same test accuracy (digits, to one point).",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N2", "N4"),
    parts={
        "output": Exact(
            says="BN(XW + b) = BN(XW)",
            formula=partial(output, bias=True),
            truth=partial(output, bias=False),
            draw=layer,
            scale=size_of_output,
        ),
        "weight gradient": Exact(
            says="dL/dW is the same with and without b",
            formula=partial(weight_gradient, bias=True),
            truth=partial(weight_gradient, bias=False),
            draw=layer,
            scale=lambda case: size_of_input_gradient(case) * np.abs(case["x"]).sum(axis=0),
        ),
        "bias gradient": Exact(
            says="dL/db = 0",
            formula=lambda case: 0.0,
            truth=bias_slope,
            draw=layer,
            scale=lambda case: size_of_input_gradient(case) * len(case["x"]),
        ),
        "training": Effect(
            Supervised(
                dataset="digits",
                train_size=200,
                hidden=(64, 64),
                norm="batch",
                activation="relu",
                batch=64,
                lr=1e-3,
                steps={"smoke": 40, "quick": 150, "full": 600},
            ),
            arms={"bias": Arm(bias=True), "no bias": Arm(bias=False), "small rate": Arm(bias=True, lr=1e-5)},
            metric="accuracy",
            question=Question("equivalent", treatment="no bias", reference="bias", margin=0.01, planted="small rate"),
        ),
    },
)
