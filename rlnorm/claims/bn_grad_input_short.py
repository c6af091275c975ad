"""Note N0's short formula for dL/dx: how far off it is, its three causes, and what training with it does."""

from collections.abc import Callable
from functools import partial

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm, input_gradient, short_formula, short_input_gradient
from rlnorm.textbook.complex_step import input_slope
from rlnorm.textbook.random_cases import Array, Case, backpropagated, batch, input_terms, log_uniform

NETWORKS, EPOCHS = 5, 8


def note(case: Case) -> Array:
    """N0's formula, from the named intermediates of the textbook."""
    return short_input_gradient(backpropagated(case))[:, 0]


def mended(case: Case, *, middle: bool, last: bool) -> Array:
    """The formula with some of its faults put right."""
    return short_formula.mended(backpropagated(case), middle=middle, last=last)[:, 0]


def sum_term_scale(case: Case) -> Array:
    """The formula's middle term with every term of its two sums taken as positive."""
    bn = backpropagated(case)
    return np.abs(bn.dy * bn.xhat).sum(axis=0) * (2 * np.abs(bn.x)).sum(axis=0) / (bn.m * (bn.m - 1) * bn.std)


def rate(rng: np.random.Generator) -> Case:
    """A learning rate from 0.1 to 4, log-uniform."""
    return {"lr": log_uniform(rng, 0.1, 4.0)}


def learnt(case: Case, dx: Callable[[BatchNorm], Array]) -> float:
    """Mean test accuracy of the networks after their last epoch, with `dx` in the BN."""
    runs = (short_formula.learning(dx, case["lr"], seed, epochs=EPOCHS, batch=64) for seed in range(NETWORKS))
    return float(np.mean([list(run)[-1][0] for run in runs]))


gradient = partial(Exact, truth=input_slope, draw=batch, scale=input_terms)

CLAIM = Claim(
    title="Gradient of the input, the short formula",
    statement="The input gradient of batch normalization is the short formula dL/dx_i = dL/dxhat_i (var+eps)^(-1/2) "
    "- dL/dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)) - dL/dbeta / m. The parts after the first two put its three "
    "faults right, alone and together.",
    source="study note N0",
    notes=("N0",),
    kind="exact",
    parts={
        "formula": gradient(
            statement="dx = dxhat (var+eps)^(-1/2) - dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)) - dbeta/m", formula=note
        ),
        "training": Exact(
            decisive=False,
            statement="digits learnt with the short formula: test accuracy no lower than with the whole one, at any "
            f"rate (a case is {2 * NETWORKS} networks trained, so there are few)",
            formula=partial(learnt, dx=short_input_gradient),
            truth=partial(learnt, dx=input_gradient),
            draw=rate,
            scale=lambda case: 1.0,
            tolerance=0.01,
            rationale="one percentage point of accuracy is the margin for accuracies; each is the mean of 5 networks",
            cases=8,
            relation=">=",
        ),
        "fault 1, the sum is 0": Exact(
            decisive=False,
            statement="the middle term, dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)), is 0: deviations cancel",
            formula=lambda case: short_formula.sum_term(backpropagated(case)),
            truth=lambda case: 0.0,
            draw=batch,
            scale=sum_term_scale,
        ),
        "fault 2 alone mended, the term in xhat": gradient(
            decisive=False,
            statement="dx = dxhat/std - gamma/std dgamma xhat/m - dbeta/m",
            formula=partial(mended, middle=True, last=False),
        ),
        "fault 3 alone mended, gamma/std on the last term": gradient(
            decisive=False,
            statement="dx = dxhat/std - gamma/std dbeta/m",
            formula=partial(mended, middle=False, last=True),
        ),
        "all mended": gradient(
            decisive=False,
            statement="dx = dxhat/std - gamma/std (dgamma xhat + dbeta)/m",
            formula=partial(mended, middle=True, last=True),
        ),
    },
)
