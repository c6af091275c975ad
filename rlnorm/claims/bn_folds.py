"""At inference batch normalization is one multiply-add, and disappears into the layer before it."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, epsilon, log_uniform, scale, size, values

LAYERS = {0: F.linear, 1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def draw(rng: np.random.Generator, dims: int) -> Case:
    """A Linear layer (dims = 0) or a convolution over that many dimensions, and running statistics of any scale."""
    m, inputs, outputs = size(rng, 1, 512 >> dims), size(rng, 1, 4), size(rng, 1, 4)
    window = [size(rng, 1, 3) for _ in range(dims)]
    spread = scale(rng)
    return {
        "x": values(rng, m, inputs, *[k + size(rng, 1, 4) - 1 for k in window]),
        "W": rng.normal(size=(outputs, inputs, *window)),
        "b": spread * rng.normal(size=outputs),
        "gamma": rng.choice([-1, 1], outputs) * log_uniform(rng, 0.1, 10),
        "beta": rng.normal(size=outputs),
        "mean": spread * rng.normal(size=outputs),
        "var": spread**2 * rng.uniform(0.1, 2, outputs),
        "eps": epsilon(rng),
    }


def layer(x: Array, W: Array, b: Array) -> Array:
    """torch's Linear or convolution, by the dimensions of W."""
    return LAYERS[W.ndim - 2](*map(torch.tensor, (x, W, b))).numpy()


def multiply_add(case: Case) -> tuple[Array, Array]:
    """a and c of BN(z) = a z + c at inference, (outputs,)."""
    a = case["gamma"] / np.sqrt(case["var"] + case["eps"])
    return a, case["beta"] - a * case["mean"]


def channels(vector: Array, like: Array) -> Array:
    """(outputs,) shaped to go with (m, outputs, ...)."""
    return vector.reshape(-1, *[1] * (like.ndim - 2))


def one_multiply_add(case: Case) -> Array:
    """a z + c."""
    z = layer(case["x"], case["W"], case["b"])
    a, c = multiply_add(case)
    return channels(a, z) * z + channels(c, z)


def folded(case: Case) -> Array:
    """The layer alone, with weights a W and bias a b + c."""
    a, c = multiply_add(case)
    return layer(case["x"], a.reshape(-1, *[1] * (case["W"].ndim - 1)) * case["W"], a * case["b"] + c)


def layer_then_norm(case: Case) -> Array:
    """The layer and then the textbook's BN with running statistics."""
    z = layer(case["x"], case["W"], case["b"])
    bn = BatchNorm(z.shape[1], eps=case["eps"])
    bn.gamma, bn.beta, bn.running_mean, bn.running_var = (case[name] for name in ("gamma", "beta", "mean", "var"))
    rows = np.moveaxis(z, 1, -1)
    y = bn.forward(rows.reshape(-1, z.shape[1]), training=False)
    return np.moveaxis(y.reshape(rows.shape), -1, 1)


def terms(case: Case) -> Array:
    """All terms of y taken as positive."""
    z = layer(np.abs(case["x"]), np.abs(case["W"]), np.abs(case["b"]))
    a = np.abs(case["gamma"]) / np.sqrt(case["var"] + case["eps"])
    return channels(a, z) * (z + channels(np.abs(case["mean"]), z)) + channels(np.abs(case["beta"]), z)


alone = partial(Exact, truth=layer_then_norm, scale=terms)
fold = partial(alone, group="fold")

CLAIM = Claim(
    title="At inference BatchNorm folds into its layer",
    statement="At inference batch normalization is one multiply-add, BN(z) = a z + c with a = gamma (var+eps)^(-1/2) "
    "and c = beta - a mu; and it folds into the Linear or convolution before it, with weights a W and bias a b + c. "
    "(What that saves in time is measured by bn-cost.)",
    source="study note N4; Jacob et al. 2018, arXiv:1712.05877, sec. 3.2",
    notes=("N4",),
    kind="exact",
    parts={
        "BN alone": alone(statement="BN(z) = a z + c", formula=one_multiply_add, draw=partial(draw, dims=0)),
        "fold, Linear": fold(statement="BN(W x + b) = (a W) x + (a b + c)", formula=folded, draw=partial(draw, dims=0)),
        **{
            f"fold, Conv{dims}d": fold(
                statement="BN(W * x + b) = (a W) * x + (a b + c), * the convolution",
                formula=folded,
                draw=partial(draw, dims=dims),
            )
            for dims in (1, 2, 3)
        },
    },
)
