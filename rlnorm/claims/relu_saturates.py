"""Whether ReLU saturates and loses gradient, as note N1 says, or has no vanishing gradient, as note N0 says."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import Linear, Network, ReLU, Sigmoid, Tanh
from rlnorm.textbook.random_cases import Array, Case, log_uniform, scale, size

WIDTH, ROWS = 64, 8


def far_out(rng: np.random.Generator) -> Case:
    """A place from 20 to 1e6."""
    return {"x": log_uniform(rng, 20, 1e6)}


def positive(rng: np.random.Generator) -> Case:
    """A place from 1e-6 to 1e6."""
    return {"x": scale(rng)}


def slope(activation: type[ReLU | Sigmoid | Tanh], x: float) -> float:
    """The slope of an activation at x."""
    layer = activation()
    layer.forward(np.array([x]))
    return float(layer.backward(np.ones(1))[0])


def deep(rng: np.random.Generator) -> Case:
    """A depth from 2 to 50, and a seed for weights, inputs and dL/dy."""
    return {"depth": size(rng, 2, 50), "seed": int(rng.integers(1 << 31))}


def through_depth(case: Case, activation: type[ReLU | Sigmoid]) -> list[Array]:
    """dL/dz (rows, width) before each activation, lowest first, of a network of He's weights and a random dL/dy."""
    rng = np.random.default_rng(case["seed"])
    activations = [activation() for _ in range(case["depth"])]
    layers = [layer for f in activations for layer in (Linear(WIDTH, WIDTH, rng), f)]
    network = Network(*layers)
    network.backward(rng.normal(size=network.forward(rng.normal(size=(ROWS, WIDTH))).shape))
    return [f.dx for f in activations]


def fraction_of_zeros(case: Case) -> Array:
    """The fraction of gradients that are exactly 0 before each ReLU, (depth,)."""
    return np.array([(dz == 0).mean() for dz in through_depth(case, ReLU)])


def factor_per_layer(case: Case, activation: type[ReLU | Sigmoid]) -> float:
    """By what factor the gradient's norm changes from one layer to the one below, on the geometric mean."""
    gradients = through_depth(case, activation)
    ratio = np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[-1])
    return float(ratio ** (1 / (case["depth"] - 1)))


def one(case: Case) -> float:
    """The scale of slopes, fractions and factors."""
    return 1.0


CLAIM = Claim(
    title="ReLU saturates, or never loses gradient",
    statement="N1: ReLU, like tanh, saturates on both sides, so that its slope is 0 far out. N0: ReLU has no vanishing "
    "gradient: its slope is 1 where x > 0, no gradient before it is exactly 0, and through up to 50 layers of He's "
    "weights the gradient's norm falls by a fifth a layer at most. Each note has a verdict of its own; overall both "
    "must hold.",
    source="study notes N1 and N0",
    notes=("N1", "N0"),
    kind="exact",
    parts={
        "N1, right side": Exact(
            group="N1",
            statement="far right, x >= 20, ReLU's slope is 0 like that of tanh",
            formula=lambda case: slope(Tanh, case["x"]),
            truth=lambda case: slope(ReLU, case["x"]),
            draw=far_out,
            scale=one,
        ),
        "N1, left side": Exact(
            group="N1",
            statement="far left, x <= -20, ReLU's slope is 0 like that of tanh",
            formula=lambda case: slope(Tanh, -case["x"]),
            truth=lambda case: slope(ReLU, -case["x"]),
            draw=far_out,
            scale=one,
        ),
        "N0, slope": Exact(
            group="N0",
            statement="where x > 0 ReLU's slope is 1",
            formula=lambda case: 1.0,
            truth=lambda case: slope(ReLU, case["x"]),
            draw=positive,
            scale=one,
        ),
        "N0, every unit": Exact(
            group="N0",
            statement="no gradient before a ReLU is exactly 0, in a network of He's weights",
            formula=lambda case: 0.0,
            truth=fraction_of_zeros,
            draw=deep,
            scale=one,
        ),
        "N0, through depth": Exact(
            group="N0",
            statement="the gradient's norm is at least 0.8 of that one layer above, on average over 2 to 50 layers",
            formula=lambda case: factor_per_layer(case, ReLU),
            truth=lambda case: 0.8,
            draw=deep,
            scale=one,
            relation=">=",
        ),
        "sigmoid beside it": Exact(
            decisive=False,
            statement="with sigmoid it is at most 0.5 of the layer's above: there it vanishes",
            formula=lambda case: factor_per_layer(case, Sigmoid),
            truth=lambda case: 0.5,
            draw=deep,
            scale=one,
            relation="<=",
        ),
    },
)
