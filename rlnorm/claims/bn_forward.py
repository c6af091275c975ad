"""The forward pass of batch normalization: the notes' four lines, against torch's and our own."""

import numpy as np
import torch
import torch.nn.functional as F

import rlnorm.nn.functional as ours
from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Array, Case, batch, normalized, output_terms


def statistics(case: Case) -> Array:
    """mu and var of the textbook."""
    bn = normalized(case)
    return np.array([bn.mu[0], bn.var[0]])


def torch_statistics(case: Case) -> Array:
    """mu and the biased variance of torch."""
    var, mu = torch.var_mean(torch.tensor(case["x"]), correction=0)
    return np.array([mu.item(), var.item()])


def output(case: Case) -> Array:
    """y (m,) of the textbook."""
    return normalized(case).y[:, 0]


def torch_output(case: Case, batch_norm=F.batch_norm) -> Array:
    """y (m,) of `torch.nn.functional.batch_norm`, or of ours, which has its signature."""
    x, gamma, beta = (torch.tensor(np.reshape(case[name], (-1, 1))) for name in ("x", "gamma", "beta"))
    return batch_norm(x, None, None, gamma[0], beta[0], training=True, eps=case["eps"]).numpy()[:, 0]


def positive_eps(rng: np.random.Generator) -> Case:
    """A `batch` case whose eps is not 0, which torch refuses."""
    case = batch(rng)
    return {**case, "eps": case["eps"] or 1e-5}


def subtracted(case: Case) -> Array:
    """N4's wording to the letter: mean and standard deviation are both subtracted."""
    bn = normalized(case)
    return (bn.x - bn.mu - bn.std)[:, 0]


def cancelled(case: Case) -> float:
    """The size of the numbers that make x - mu, over the standard deviation, or themselves."""
    bn = normalized(case)
    return float(np.abs(bn.x).max() * max(1.0, 1 / bn.std[0]))


CLAIM = Claim(
    title="BatchNorm standardizes, then scales and shifts",
    statement="Batch normalization computes mu = <x>, var = <(x-mu)^2> (divided by m, not m-1), "
    "xhat = (x-mu) / (var+eps)^(1/2) and y = gamma xhat + beta, as torch does; and (note N4's wording, a part of its "
    "own) mean and standard deviation are both subtracted.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1",
    notes=("N0", "N1", "N3", "N4"),
    kind="exact",
    parts={
        "statistics": Exact(
            statement="mu = 1/m sum x, var = 1/m sum (x-mu)^2, against torch.var_mean",
            formula=statistics,
            truth=torch_statistics,
            draw=batch,
            scale=lambda case: np.abs(case["x"]).max() ** np.array([1, 2]),
        ),
        "output, torch.nn": Exact(
            group="output",
            statement="y = gamma (x-mu) / (var+eps)^(1/2) + beta, against torch.nn.functional.batch_norm",
            formula=output,
            truth=torch_output,
            draw=positive_eps,
            scale=output_terms,
        ),
        "output, rlnorm.nn": Exact(
            group="output",
            statement="the same, against rlnorm.nn.functional.batch_norm",
            formula=output,
            truth=lambda case: torch_output(case, ours.batch_norm),
            draw=positive_eps,
            scale=output_terms,
        ),
        "wording of N4": Exact(
            decisive=False,
            statement="xhat = x - mu - (var+eps)^(1/2): the standard deviation is subtracted",
            formula=subtracted,
            truth=lambda case: normalized(case).xhat[:, 0],
            draw=batch,
            scale=cancelled,
        ),
    },
)
