"""Whether results are stable at test time: with the statistics of a batch, and with running statistics."""

import numpy as np

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Exact, Question, supervised_experiment
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, batch, scale

LAGGING = "momentum 0.003"
EXPERIMENT = supervised_experiment(
    steps=quick_is_full(300),
    dataset="digits",
    activation="relu",
    init="he",
    hidden=(64, 64),
    train_size=200,
    batch=32,
    optimizer="sgd",
    lr=0.03,
    every=60,
    evaluate=("test", "batch"),
    probes=5,
    measure=("batches",),
)


def with_running(rng: np.random.Generator) -> Case:
    """A `batch` case and running statistics of its scale."""
    case, size = batch(rng), scale(rng)
    return {**case, "mean": size * rng.normal(), "var": size**2 * rng.uniform(0.1, 2) + 1e-12}


def at_test(case: Case, rows: Array) -> Array:
    """BN of rows (m,) with running statistics."""
    bn = BatchNorm(1, eps=case["eps"])
    bn.gamma, bn.beta = np.array([case["gamma"]]), np.array([case["beta"]])
    bn.running_mean, bn.running_var = np.array([case["mean"]]), np.array([case["var"]])
    return bn.forward(rows[:, None], training=False)[:, 0]


def terms(case: Case) -> float:
    """The size of the numbers that make y with running statistics."""
    size = (np.abs(case["x"]).max() + abs(case["mean"])) / np.sqrt(case["var"] + case["eps"])
    return float(abs(case["gamma"]) * size + abs(case["beta"]))


def in_both_modes(metric: str, decisive: bool = True) -> Effect:
    """Is a score of both modes with BN no worse than without, where they are one, by a point?"""
    return Effect(
        experiment=EXPERIMENT,
        arms={
            "BN": {"norm": "batch"},
            "none": {"norm": "none"},
            LAGGING: {"norm": "batch", "norm_kwargs": {"momentum": 0.003}},
        },
        metric=metric,
        question=Question(
            asks="non-inferior",
            treatment="BN",
            reference="none",
            margin=0.01,
            paired=True,
            negative_control=LAGGING,
        ),
        decisive=decisive,
    )


CLAIM = Claim(
    title="BatchNorm's outputs vary by batch, not at test",
    statement="Two notes speak of two modes. With the statistics of the batch (N0), a trained network's outputs for "
    "one digit vary with its companions, by more than 5 % of the outputs' standard deviation. With running statistics "
    "(N2) they are stable: a row's output is the same alone and in any batch, and the test accuracy is no lower than "
    "under batch statistics, by a point, from update 60 on (momentum 0.1, batches of 32). (How far apart the two "
    "accuracies are, whichever is higher, is judged beside.)",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1",
    notes=("N0", "N2"),
    kind="effect",
    parts={
        "batch statistics, outputs vary": Effect(
            experiment=EXPERIMENT,
            arms={"BN": {"norm": "batch"}, "none": {"norm": "none"}},
            metric="output_spread",
            question=Question(asks="superior", treatment="none", reference="BN", margin=0.05, paired=True),
        ),
        "running statistics, a row alone and in company": Exact(
            statement="with running statistics BN(x_1) alone = BN(x_1) in the batch x",
            formula=lambda case: at_test(case, case["x"][:1]),
            truth=lambda case: at_test(case, case["x"])[:1],
            draw=with_running,
            scale=terms,
        ),
        "running statistics, no less accurate": in_both_modes("eval_gain"),
        # A distance counts it as a fault, too, when eval mode is better.
        "beside, the modes' distance in accuracy": in_both_modes("mode_gap", decisive=False),
    },
    literature="Ioffe & Szegedy 2015 (arXiv:1502.03167, sec. 3.1) fix the statistics at inference so that the output "
    "depends on the input alone.",
)
