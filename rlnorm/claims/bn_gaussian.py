"""Whether batch normalization brings its inputs closer to a normal distribution."""

import numpy as np
from scipy.special import ndtr

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, epsilon, scale, size

SHAPES = ("normal", "exponential", "uniform", "laplace", "logistic")


def draw(rng: np.random.Generator) -> Case:
    """At least 3 values of one of five distributions or of two peaks, at any scale and place."""
    m, shape = size(rng, 3), rng.integers(len(SHAPES) + 1)
    if shape == len(SHAPES):
        x = rng.normal(size=m) + 6 * rng.integers(0, 2, m)
    else:
        x = getattr(rng, SHAPES[shape])(size=m)
    return {"x": scale(rng) * (x + rng.uniform(-3, 3)), "eps": epsilon(rng)}


def xhat(case: Case) -> Array:
    """The normalized values (m,)."""
    return BatchNorm(1, eps=case["eps"]).forward(case["x"][:, None])[:, 0]


def skewness(x: Array) -> float:
    """<(x-mu)^3> / var^(3/2)."""
    return float(((x - x.mean()) ** 3).mean() / x.var() ** 1.5)


def kurtosis(x: Array) -> float:
    """<(x-mu)^4> / var^2, 3 for a normal distribution."""
    return float(((x - x.mean()) ** 4).mean() / x.var() ** 2)


def distance(x: Array) -> float:
    """Kolmogorov's distance of the values' distribution to the normal one of the same mean and variance."""
    below = ndtr((np.sort(x) - x.mean()) / x.std())
    steps = np.arange(len(x) + 1) / len(x)
    return float(max(np.abs(steps[1:] - below).max(), np.abs(steps[:-1] - below).max()))


def conditioned(case: Case) -> float:
    """1, or how much larger the values are than their standard deviation."""
    return float(1 + np.abs(case["x"]).max() / case["x"].std())


CLAIM = Claim(
    title="BatchNorm makes inputs close to normal",
    statement="Batch normalization brings its inputs close to a normal distribution: not only to mean 0 and variance "
    "var/(var+eps), but nearer in shape (Kolmogorov's distance to the normal distribution of the same mean and "
    "variance shrinks by 1 % at least).",
    source="study note N3",
    notes=("N3",),
    kind="exact",
    parts={
        "shape": Exact(
            statement="distance(xhat) / distance(x) <= 0.99",
            formula=lambda case: distance(xhat(case)) / distance(case["x"]),
            truth=lambda case: 0.99,
            draw=draw,
            scale=lambda case: 1.0,
            relation="<=",
        ),
        "mean and variance": Exact(
            statement="xhat has mean 0 and variance var/(var+eps)",
            formula=lambda case: np.array([0, case["x"].var() / (case["x"].var() + case["eps"])]),
            truth=lambda case: np.array([xhat(case).mean(), xhat(case).var()]),
            draw=draw,
            scale=conditioned,
        ),
        "skewness and kurtosis": Exact(
            statement="skewness and kurtosis of xhat are those of x",
            formula=lambda case: np.array([skewness(case["x"]), kurtosis(case["x"])]),
            truth=lambda case: np.array([skewness(xhat(case)), kurtosis(xhat(case))]),
            draw=draw,
            scale=lambda case: conditioned(case) * np.array([1, kurtosis(case["x"])]),
        ),
        "order": Exact(
            statement="xhat has the order of x",
            formula=lambda case: np.argsort(case["x"]),
            truth=lambda case: np.argsort(xhat(case)),
            draw=draw,
            scale=lambda case: 1.0,
        ),
    },
)
