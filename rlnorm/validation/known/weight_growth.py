"""Weights before BatchNorm grow by eta^2 |g|^2 in a step of plain gradient descent: their gradient is orthogonal."""

import numpy as np
import torch
from torch import Tensor

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Case, log_uniform
from rlnorm.validation.known._started import started

STEPS, INPUTS, OUTPUTS = 10, 12, 5


def run_of_gradient_descent(rng: np.random.Generator) -> Case:
    """Sizes, rate and seed of ten steps of plain gradient descent."""
    return {
        "seed": int(rng.integers(1 << 31)),
        "width": int(rng.integers(4, 33)),
        "batch": int(rng.integers(8, 65)),
        "lr": log_uniform(rng, 0.01, 1),
    }


def relative_growth(case: Case, norm: str = "batch") -> float:
    """What |w|^2 of the first layer grows by in ten steps, over the sum of eta^2 |g|^2.

    Two hidden layers, a new batch at each step, in float64 and with an eps of 1e-12: invariance is exact without it.
    """
    hidden, batch = (int(case["width"]),) * 2, int(case["batch"])
    kwargs = {"eps": 1e-12} if norm == "batch" else {}
    made, generator = started(
        case["seed"], "xavier", INPUTS, OUTPUTS, hidden=hidden, norm=norm, norm_kwargs=kwargs, activation="tanh"
    )
    made.double()
    weight, total = made.get_parameter("linear1.weight"), 0.0
    before = squared(weight)
    for _ in range(STEPS):
        x = torch.randn(batch, INPUTS, generator=generator, dtype=torch.float64)
        labels = torch.randint(OUTPUTS, (batch,), generator=generator)
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(made(x), labels), [*made.parameters()])
        with torch.no_grad():
            for parameter, gradient in zip(made.parameters(), gradients, strict=True):
                parameter -= case["lr"] * gradient
                total += case["lr"] ** 2 * squared(gradient) * (parameter is weight)
    return (squared(weight) - before) / total


def squared(x: Tensor) -> float:
    """|x|^2."""
    return float(x.detach().square().sum())


CLAIM = Claim(
    title="Weights before BatchNorm only grow",
    statement="The squared length of a weight before BatchNorm grows by eta^2 |g|^2 in each step of plain gradient "
    "descent with rate eta, since its gradient g is orthogonal to it: over ten steps, in random networks, it grows by "
    "the sum of these.",
    source="van Laarhoven 2017, arXiv:1706.05350, sec. 2",
    kind="exact",
    parts={
        "ten steps": Exact(
            statement="|w_10|^2 - |w_0|^2 = sum eta^2 |g|^2",
            formula=relative_growth,
            truth=lambda case: 1.0,
            draw=run_of_gradient_descent,
            scale=lambda case: 1.0,
            tolerance=1e-6,
            rationale="float64 rounds at 1e-16 of |w|^2, of which ten steps add no less than 1e-8",
            cases=100,
        )
    },
    literature="Weights before BN or weight norm are scale invariant, so their gradient is orthogonal to them and "
    "every step of gradient descent makes them longer.",
)
