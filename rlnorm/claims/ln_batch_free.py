"""Layer normalization knows nothing of the batch."""

import numpy as np
import torch

from rlnorm import nn
from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import LayerNorm
from rlnorm.textbook.random_cases import Array, Case, log_uniform, size, values


def draw(rng: np.random.Generator) -> Case:
    """Rows x (m, d), gamma and beta (d,), eps > 0."""
    d = size(rng)
    return {
        "x": values(rng, size(rng, 1, 64), d),
        "gamma": rng.normal(size=d),
        "beta": rng.normal(size=d),
        "eps": log_uniform(rng, 1e-12, 1.0),
    }


def output(case: Case, x: Array, training: bool = True) -> Array:
    """y of the textbook's LN for rows x."""
    ln = LayerNorm(x.shape[1], eps=case["eps"])
    ln.gamma, ln.beta = case["gamma"], case["beta"]
    return ln.forward(x, training)


def one_by_one(case: Case) -> Array:
    """Each row alone."""
    return np.concatenate([output(case, row[None]) for row in case["x"]])


def by_formula(case: Case) -> Array:
    """gamma (x - mu) / (var+eps)^(1/2) + beta with mean and variance of each row's features."""
    x = case["x"]
    mu, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return case["gamma"] * (x - mu) / np.sqrt(var + case["eps"]) + case["beta"]


def module_output(case: Case, *, training: bool) -> Array:
    """y of `rlnorm.nn.LayerNorm` in training or at test."""
    ln = nn.LayerNorm(case["x"].shape[1], eps=case["eps"]).double().train(training)
    ln.load_state_dict({"weight": torch.tensor(case["gamma"]), "bias": torch.tensor(case["beta"])})
    return ln(torch.tensor(case["x"])).detach().numpy()


def terms(case: Case) -> Array:
    """The size of the numbers that make y."""
    x = case["x"]
    lost = 1 + np.abs(x).max(axis=1, keepdims=True) / np.sqrt(x.var(axis=1, keepdims=True) + case["eps"])
    return np.abs(case["gamma"]) * lost + np.abs(case["beta"])


CLAIM = Claim(
    title="LayerNorm does not depend on the batch",
    statement="Layer normalization takes mean and variance over the features of each row; it does not depend on the "
    "batch: a row's output is the same alone and in any batch, in training and at test.",
    source="Ba et al. 2016, arXiv:1607.06450, eq. 3 and 4",
    notes=("N4",),
    kind="exact",
    parts={
        "over features": Exact(
            statement="y = gamma (x - mu) / (var+eps)^(1/2) + beta, mu and var over the features of each row",
            formula=by_formula,
            truth=lambda case: output(case, case["x"]),
            draw=draw,
            scale=terms,
        ),
        "alone and in a batch": Exact(
            statement="each row alone gives what it gives in the batch",
            formula=one_by_one,
            truth=lambda case: output(case, case["x"]),
            draw=draw,
            scale=terms,
        ),
        "training and test": Exact(
            statement="rlnorm.nn.LayerNorm gives the same in training and at test",
            formula=lambda case: module_output(case, training=True),
            truth=lambda case: module_output(case, training=False),
            draw=draw,
            scale=terms,
        ),
    },
)
