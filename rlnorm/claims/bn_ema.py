"""The running statistics of batch normalization: an exponential average of the batches' statistics."""

from itertools import product

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, log_uniform, size, values


def batches(rng: np.random.Generator) -> Case:
    """k batches of m rows, (k, m, 1), and a momentum p from 0.001 to 0.9."""
    return {"x": values(rng, size(rng, 2, 128), size(rng), 1), "p": log_uniform(rng, 1e-3, 0.9)}


def kept(case: Case) -> BatchNorm:
    """The textbook's BN after it has seen the batches in order."""
    bn = BatchNorm(case["x"].shape[2], momentum=case["p"])
    for x in case["x"]:
        bn.forward(x)
    return bn


def weights(case: Case) -> Array:
    """p (1-p)^(k-i) for batches i = 1 ... k, (k,)."""
    k = len(case["x"])
    return case["p"] * (1 - case["p"]) ** (k - np.arange(1, k + 1))


def weighted(case: Case) -> Array:
    """Mean and variance as sums over all batches, what is left of the start (0 and 1) included."""
    start = (1 - case["p"]) ** len(case["x"])
    mean, var = case["x"].mean(axis=(1, 2)), case["x"].var(axis=(1, 2), ddof=1)
    return np.array([weights(case) @ mean, start + weights(case) @ var])


def one_batch(rng: np.random.Generator) -> Case:
    """The same batch k times."""
    case = batches(rng)
    return {**case, "x": np.repeat(case["x"][:1], len(case["x"]), axis=0)}


def decayed(case: Case) -> Array:
    """Where the running statistics stand after k equal batches, by their time constant."""
    tau = -1 / np.log(1 - case["p"])
    left = np.exp(-len(case["x"]) / tau)
    mean, var = case["x"][0].mean(), case["x"][0].var(ddof=1)
    return np.array([mean - mean * left, var + (1 - var) * left])


def population(rng: np.random.Generator) -> Case:
    """Few values, all equally likely, and how many make a batch; momentum 1, so that only the last batch counts."""
    return {"values": values(rng, size(rng, 2, 4)), "m": size(rng, 2, 4)}


def expected(case: Case) -> Array:
    """Running mean and variance, each the mean over all batches that can be drawn: a column of x for each of them."""
    x = np.array(list(product(case["values"], repeat=case["m"]))).T
    bn = BatchNorm(x.shape[1], momentum=1.0)
    bn.forward(x)
    return np.array([bn.running_mean.mean(), bn.running_var.mean()])


def impulse(rng: np.random.Generator) -> Case:
    """k batches for each of k features, of which feature i has mean 1 in batch i and 0 else: (k, 2, k)."""
    k = size(rng, 1, 128)
    return {"x": np.repeat(np.eye(k)[:, None, :], 2, axis=1), "p": log_uniform(rng, 1e-3, 0.9)}


def noise_left(case: Case) -> float:
    """p/(2-p) (1 - (1-p)^(2k))."""
    p = case["p"]
    return float(p / (2 - p) * (1 - (1 - p) ** (2 * len(case["x"]))))


def statistics_scale(case: Case) -> Array:
    """The scale for errors of mean and variance; it includes the start values 0 and 1."""
    return np.array([np.abs(case["x"]).max(), np.abs(case["x"]).max() ** 2 + 1])


CLAIM = Claim(
    title="Test statistics are moving averages of batch statistics",
    statement="The statistics for test time are exponential averages of the batches' statistics: they tend to E[mu] "
    "and E[var m/(m-1)], the mean and variance of the data; after k batches (1-p)^k of the start (0 and "
    "1) is left, a time constant of -1/ln(1-p) batches for momentum p; and p/(2-p) of the batches' "
    "variance remains as noise.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1; torch.nn.BatchNorm1d",
    notes=("N2", "N3", "N4"),
    kind="exact",
    parts={
        "exponential average": Exact(
            statement="running = (1-p)^k start + sum_i p (1-p)^(k-i) (statistic of batch i), the variance unbiased",
            formula=weighted,
            truth=lambda case: np.array([kept(case).running_mean[0], kept(case).running_var[0]]),
            draw=batches,
            scale=statistics_scale,
        ),
        "time constant": Exact(
            statement="running - statistic = (start - statistic) e^(-k/tau), tau = -1/ln(1-p), for equal batches",
            formula=decayed,
            truth=lambda case: np.array([kept(case).running_mean[0], kept(case).running_var[0]]),
            draw=one_batch,
            scale=statistics_scale,
        ),
        "limit": Exact(
            statement="E[mu] = mean of the data, E[var m/(m-1)] = their variance, over all batches that can be drawn",
            formula=lambda case: np.array([case["values"].mean(), case["values"].var()]),
            truth=expected,
            draw=population,
            scale=lambda case: np.abs(case["values"]).max() ** np.array([1, 2]),
        ),
        "noise": Exact(
            statement="variance of the running mean = p/(2-p) (1 - (1-p)^(2k)) variance of mu",
            formula=noise_left,
            truth=lambda case: (kept(case).running_mean ** 2).sum(),
            draw=impulse,
            scale=noise_left,
        ),
    },
)
