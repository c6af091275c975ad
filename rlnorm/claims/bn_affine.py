"""BatchNorm's scale and shift in front of sigmoids: what a network can do without them."""

from functools import partial

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Question, Settings, supervised_experiment

WITH: Settings = {"affine": True}
WITHOUT: Settings = {"affine": False}
LINEAR: Settings = {"activation": "identity"}
experiment = partial(
    supervised_experiment,
    steps=quick_is_full(400),
    train_size=1000,
    hidden=(64, 64),
    norm="batch",
    activation="sigmoid",
    init="xavier",
    optimizer="sgd",
    batch=32,
    every=200,
)

CLAIM = Claim(
    title="Sigmoid nets need BatchNorm's scale and shift",
    statement="Without scale and shift BatchNorm keeps sigmoids in their linear middle, and the network turns linear; "
    "with them it recovers. Without them, networks of sigmoids explain no more of a teacher's answers than networks "
    "without activations (by 0.05 of the variance), and their maps of signals are closer to linear than with them (by "
    "0.05 of the variance of the outputs); with them, they classify signals better, by 1 point of test accuracy. Each "
    "arm is at its own best of five rates, linearity at a common one, at which networks with scale and shift learn.",
    source="study notes N2 and N3; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N2", "N3"),
    kind="effect",
    parts={
        # A linear net would stand at the floor on signals; of the teacher's answers it explains two thirds.
        "without them, no better than a linear net": Effect(
            experiment=experiment(dataset="teacher", lr=0.003),
            arms={
                "linear": LINEAR,
                "without": WITHOUT,
                "linear, 40 examples": {**LINEAR, "train_size": 40},
                "ReLU": {"activation": "relu"},
            },
            metric="explained",
            question=Question(
                asks="not better",
                treatment="without",
                reference="linear",
                margin=0.05,
                paired=True,
                negative_control="linear, 40 examples",
                positive_control="ReLU",
            ),
            rates=(0.001, 0.003, 0.01, 0.03, 0.1),
            seeds=32,
        ),
        "without them, closer to a linear map": Effect(
            experiment=experiment(dataset="signals", lr=0.3, probes=10, measure=("linearity",)),
            arms={"with": WITH, "without": WITHOUT, "linear": LINEAR},
            metric="linearity_at_end",
            question=Question(
                asks="superior",
                treatment="without",
                reference="with",
                margin=0.05,
                paired=True,
                positive_control="linear",
            ),
        ),
        "with them, better than without": Effect(
            experiment=experiment(dataset="signals", lr=0.3),
            arms={"without": WITHOUT, "with": WITH},
            metric="accuracy",
            question=Question(asks="superior", treatment="with", reference="without", margin=0.01, paired=True),
            rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        ),
    },
    literature="Ioffe & Szegedy 2015 give this as the reason for scale and shift: normalized inputs of a sigmoid "
    "would stay in its linear regime.",
)
