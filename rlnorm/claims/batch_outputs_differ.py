"""How the distribution of a layer's outputs differs from batch to batch, and what normalization does to that."""

import numpy as np

from rlnorm.claims._supervised import NETS, quick_is_full
from rlnorm.study.claim import Claim, Effect, Exact, Question, supervised_experiment
from rlnorm.textbook.random_cases import Array, Case, normalized, size, values


def batches(rng: np.random.Generator) -> Case:
    """k batches of m rows of one feature, (k, m); gamma = 1 and beta = 0."""
    k = size(rng, 2, 64)
    return {"x": values(rng, k, size(rng)), "gamma": 1.0, "beta": 0.0, "eps": 0.0}


def by_own_statistics(case: Case) -> Array:
    """The mean of each batch after BN with its own statistics, (k,)."""
    return normalized(case, case["x"].T).y.mean(axis=0)


def by_all_statistics(case: Case) -> Array:
    """The mean of each batch after BN with the statistics of all batches together, (k,)."""
    return normalized(case, case["x"].reshape(-1, 1)).y.reshape(case["x"].shape).mean(axis=1)


def terms(case: Case) -> float:
    """The size of x / std, in standard deviations of the batch that varies least."""
    return float(np.abs(case["x"]).max() / case["x"].std(axis=1).min())


def evened(net: str) -> Effect:
    """Batch means of the last layer's inputs, in a network that trains with BN or without."""
    return Effect(
        experiment=supervised_experiment(
            steps=quick_is_full(200),
            dataset="digits",
            hidden=(64, 64),
            batch=32,
            optimizer="sgd",
            lr=0.03,
            every=20,
            probes=10,
            measure=("batches",),
            **NETS[net],
        ),
        arms={"none": {"norm": "none"}, "BN": {"norm": "batch"}},
        metric="last_mean_spread",
        question=Question(asks="superior", treatment="BN", reference="none", margin=1.25, scale="ratio"),
        group="training, each batch's statistics",
    )


CLAIM = Claim(
    title="BatchNorm evens outputs that differ between batches",
    statement="The outputs of layers are distributed differently in every batch, and BatchNorm, taken over all "
    "batches, evens them. Two readings: with each batch's own statistics all batches get the same mean, and in "
    "networks that learn digits the batch means of the last layer's inputs spread less than without a norm, by a "
    "quarter (in standard deviations, batches of 32); and, as the note words it, with the statistics of all batches "
    "together all batches get the same mean.",
    source="study note N4",
    notes=("N4",),
    kind="effect",
    parts={
        "each batch's statistics": Exact(
            statement="with its own statistics every batch has mean beta",
            formula=by_own_statistics,
            truth=lambda case: 0.0,
            draw=batches,
            scale=terms,
        ),
        **{f"{net}, trained": evened(net) for net in NETS},
        "statistics of all batches": Exact(
            statement="with the statistics of all batches together every batch has mean beta",
            formula=by_all_statistics,
            truth=lambda case: 0.0,
            draw=batches,
            scale=terms,
        ),
    },
    literature="Ioffe & Szegedy 2015 (arXiv:1502.03167, sec. 3) take the statistics of each mini-batch because those "
    "of all data would have to be computed anew after every step.",
)
