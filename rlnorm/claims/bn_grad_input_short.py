"""Note N0's short formula for dL/dx: how far off it is, its three causes, and what training with it does."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from sklearn.datasets import load_digits

from rlnorm.study.cases import Array, Case, backpropagated, batch, input_slope, input_terms, log_uniform
from rlnorm.study.claim import Claim
from rlnorm.study.exact import Exact
from rlnorm.textbook import (
    BatchNorm,
    Linear,
    Network,
    ReLU,
    SoftmaxCrossEntropy,
    accuracy,
    input_gradient,
    short_input_gradient,
    train,
)


def note(case: Case) -> Array:
    """N0's formula, from the named intermediates of the textbook."""
    return short_input_gradient(backpropagated(case))[:, 0]


def sum_term(case: Case) -> Array:
    """N0's middle term: dgamma sum_i 2(x_i-mu) / (m(m-1)(var+eps)^(1/2))."""
    bn = backpropagated(case)
    return bn.dgamma * (2 * (bn.x - bn.mu)).sum(axis=0) / (bn.m * (bn.m - 1) * bn.std)


def sum_term_scale(case: Case) -> Array:
    """The same with every term of its two sums taken as positive."""
    bn = backpropagated(case)
    return np.abs(bn.dy * bn.xhat).sum(axis=0) * (2 * np.abs(bn.x)).sum(axis=0) / (bn.m * (bn.m - 1) * bn.std)


def mended(case: Case, *, xhat_term: bool, last_term: bool) -> Array:
    """N0's formula without its zero sum; with the term in xhat that it lacks; with gamma/std on its last term."""
    bn = backpropagated(case)
    factor = bn.gamma / bn.std
    dx = bn.dxhat / bn.std - (factor if last_term else 1) * bn.dbeta / bn.m
    return (dx - factor * bn.dgamma * bn.xhat / bn.m if xhat_term else dx)[:, 0]


@cache
def digits() -> tuple[Array, Array]:
    """scikit-learn's digits: pixels from 0 to 1, (1797, 64), and classes, (1797,)."""
    pixels, classes = load_digits(return_X_y=True)
    return pixels / 16, classes


def rate(rng: np.random.Generator) -> Case:
    """A learning rate from 0.1 to 4, log-uniform."""
    return {"lr": log_uniform(rng, 0.1, 4.0)}


def trained(case: Case, dx: Callable[[BatchNorm], Array]) -> float:
    """Mean test accuracy of 5 networks Linear-BN-ReLU-Linear after 8 passes over 1437 digits, with `dx` in the BN."""
    pixels, classes = digits()
    scores = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(pixels))
        seen, unseen = rows[:1437], rows[1437:]
        network = Network(Linear(64, 32, rng), BatchNorm(32, dx=dx), ReLU(), Linear(32, 10, rng))
        for _ in train(
            network, SoftmaxCrossEntropy(), pixels[seen], classes[seen], epochs=8, batch=64, lr=case["lr"], rng=rng
        ):
            pass
        scores.append(accuracy(network, pixels[unseen], classes[unseen]))
    return float(np.mean(scores))


gradient = partial(Exact, truth=input_slope, draw=batch, scale=input_terms)

CLAIM = Claim(
    statement="The input gradient of batch normalization is the short formula dL/dx_i = dL/dxhat_i (var+eps)^(-1/2) "
    "- dL/dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)) - dL/dbeta / m. The parts after the first two put its three "
    "faults right, alone and together.",
    source="study note N0",
    notes=("N0",),
    parts={
        "formula": gradient(
            says="dx = dxhat (var+eps)^(-1/2) - dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)) - dbeta/m", formula=note
        ),
        "training": Exact(
            says="digits learnt with the short formula: test accuracy no lower than with the whole one, at any rate",
            formula=partial(trained, dx=short_input_gradient),
            truth=partial(trained, dx=input_gradient),
            draw=rate,
            scale=lambda case: 1.0,
            tolerance=0.01,
            because="one percentage point of accuracy is the margin for accuracies; each is the mean of 5 networks",
            cases=8,
            relation=">=",
        ),
        "fault 1, the sum is 0": Exact(
            says="the middle term, dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)), is 0: deviations from a mean cancel",
            formula=sum_term,
            truth=lambda case: 0.0,
            draw=batch,
            scale=sum_term_scale,
        ),
        "fault 2 alone mended, the term in xhat": gradient(
            says="dx = dxhat/std - gamma/std dgamma xhat/m - dbeta/m",
            formula=partial(mended, xhat_term=True, last_term=False),
        ),
        "fault 3 alone mended, gamma/std on the last term": gradient(
            says="dx = dxhat/std - gamma/std dbeta/m", formula=partial(mended, xhat_term=False, last_term=True)
        ),
        "all mended": gradient(
            says="dx = dxhat/std - gamma/std (dgamma xhat + dbeta)/m",
            formula=partial(mended, xhat_term=True, last_term=True),
        ),
    },
    decisive=("formula",),
)
