"""Self-normalizing networks: mean 0 and variance 1 through fifty layers of SELU."""

from functools import partial

import numpy as np
from scipy.special import log_ndtr

from rlnorm.nn.selu import ALPHA, LAMBDA
from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Array, Case, log_uniform

LAYERS, WIDTH, ROWS = 50, 256, 64
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


def moments(rng: np.random.Generator) -> Case:
    """Mean from -1 to 1 and variance from 0.1 to 10 of what goes in."""
    return {"mean": rng.uniform(-1, 1), "variance": log_uniform(rng, 0.1, 10)}


def network(rng: np.random.Generator) -> Case:
    """The same, with a seed for inputs, weights and dropout."""
    return {**moments(rng), "seed": int(rng.integers(1 << 31))}


def selu_of_normal(q: float) -> tuple[float, float]:
    """Mean and mean square of SELU(z) for z normal with mean 0 and variance q.

    With s = q^(1/2): E[z; z>0] = s/(2 pi)^(1/2), E[e^z; z<0] = e^(q/2) Phi(-s), E[e^2z; z<0] = e^(2q) Phi(-2s).
    """
    s = np.sqrt(q)
    once, twice = np.exp(q / 2 + log_ndtr(-s)), np.exp(2 * q + log_ndtr(-2 * s))
    mean = LAMBDA * (s / np.sqrt(2 * np.pi) + ALPHA * (once - 1 / 2))
    return mean, LAMBDA**2 * (q / 2 + ALPHA**2 * (twice - 2 * once + 1 / 2))


def relu_of_normal(q: float) -> tuple[float, float]:
    """The same for ReLU, whose weights (He) are twice as large."""
    return np.sqrt(q / np.pi), q


def tanh_of_normal(q: float) -> tuple[float, float]:
    """The same for tanh, by Gauss-Hermite quadrature."""
    y = np.tanh(np.sqrt(q) * NODES)
    return 0.0, float(WEIGHTS @ y**2 / WEIGHTS.sum())


def after_layers(case: Case, of_normal=selu_of_normal) -> Array:
    """Mean and variance behind the last of 50 infinitely wide layers: the weights have mean 0, so z is normal with the
    mean square of the layer before for a variance."""
    mean, square = case["mean"], case["variance"] + case["mean"] ** 2
    for _ in range(LAYERS):
        mean, square = of_normal(square)
    return np.array([mean, square - mean**2])


def alpha_dropout(x: Array, rate: float, rng: np.random.Generator) -> Array:
    """Units set to -lambda alpha with probability `rate`, then scaled and shifted back to mean 0 and variance 1."""
    keep, dropped = 1 - rate, -LAMBDA * ALPHA
    a = (keep + dropped**2 * keep * rate) ** (-1 / 2)
    return a * np.where(rng.random(x.shape) < keep, x, dropped) - a * dropped * rate


def through_network(case: Case, dropout: float = 0.0) -> Array:
    """Mean and variance over all units and rows behind 50 layers of 256 units with LeCun's weights."""
    rng = np.random.default_rng(case["seed"])
    x = case["mean"] + np.sqrt(case["variance"]) * rng.normal(size=(ROWS, WIDTH))
    for _ in range(LAYERS):
        z = x @ rng.normal(0, WIDTH**-0.5, (WIDTH, WIDTH))
        x = LAMBDA * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0)))
        if dropout:
            x = alpha_dropout(x, dropout, rng)
    return np.array([x.mean(), x.var()])


def standard(case: Case) -> Array:
    """Mean 0 and variance 1."""
    return np.array([0.0, 1.0])


def one(case: Case) -> float:
    """The scale of mean and variance."""
    return 1.0


def distance(case: Case, of_normal) -> float:
    """How far mean or variance are from 0 and 1 behind 50 layers."""
    return float(np.abs(after_layers(case, of_normal) - standard(case)).max())


settled = partial(Exact, truth=standard, scale=one)
drifted = partial(Exact, truth=lambda case: 0.1, draw=moments, scale=one, relation=">=")

CLAIM = Claim(
    title="Self-normalizing networks keep mean and variance",
    statement="Networks of SELU units with LeCun's weights bring inputs of mean -1 to 1 and variance 0.1 to 10 to "
    "mean 0 and variance 1 and keep them there for 50 layers, with alpha dropout too; ReLU (He's weights) "
    "and tanh do not.",
    source="Klambauer et al. 2017, arXiv:1706.02515",
    notes=("N4",),
    kind="exact",
    parts={
        "wide layers": settled(
            statement="behind 50 infinitely wide layers mean 0 and variance 1",
            formula=after_layers,
            draw=moments,
            tolerance=1e-3,
            rationale="each layer keeps about 0.78 of the distance to (0, 1), so 50 leave 1e-5 of it",
        ),
        "networks of 256 units": settled(
            statement="behind 50 layers of 256 units mean 0 and variance 1, over units and 64 rows (a case is a whole "
            "network, 3 million weights, so there are few)",
            formula=through_network,
            draw=network,
            tolerance=0.2,
            rationale="moments of 256 units and 64 rows stray: by 0.02 and 0.05 (standard deviation) behind 50 layers",
            cases=40,
        ),
        "networks with alpha dropout": settled(
            statement="the same with 5 % alpha dropout behind each layer (so there are few)",
            formula=partial(through_network, dropout=0.05),
            draw=network,
            tolerance=0.2,
            rationale="moments of 256 units and 64 rows stray: by 0.01 and 0.02 (standard deviation) behind 50 layers",
            cases=40,
        ),
        "ReLU beside it": drifted(
            statement="behind 50 infinitely wide layers of ReLU, mean or variance are at least 0.1 from 0 and 1",
            formula=partial(distance, of_normal=relu_of_normal),
        ),
        "tanh beside it": drifted(
            statement="behind 50 infinitely wide layers of tanh, mean or variance are at least 0.1 from 0 and 1",
            formula=partial(distance, of_normal=tanh_of_normal),
        ),
    },
)
