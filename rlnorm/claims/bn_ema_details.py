"""How BatchNorm's running statistics are estimated, and what that changes of the test accuracy."""

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Question, Settings, supervised_experiment

HABITUAL, FEWER, LAGGING = "momentum 0.1", "60 images", "momentum 0.003"
EXPERIMENT = supervised_experiment(
    steps=quick_is_full(400),
    dataset="digits",
    activation="relu",
    init="he",
    hidden=(64, 64),
    train_size=120,
    batch=32,
    optimizer="sgd",
    lr=0.03,
    every=10_000,
    reestimate="train",
)
OTHERS = {"0.5": 0.5, "0.2": 0.2, "0.03": 0.03, "0.01": 0.01, "0.001": 0.001, "cumulative": None}


def keeping(momentum: float | None) -> Settings:
    """BN with that momentum of its running statistics; None: their plain average over training."""
    return {"norm": "batch", "norm_kwargs": {"momentum": momentum}}


def same_accuracy(name: str) -> Effect:
    """Is the accuracy that of momentum 0.1, to a point? The weights are alike: training uses the batch alone."""
    return Effect(
        experiment=EXPERIMENT,
        arms={HABITUAL: keeping(0.1), name: keeping(OTHERS[name]), FEWER: {**keeping(0.1), "train_size": 60}},
        metric="accuracy",
        question=Question(
            asks="equivalent",
            treatment=name,
            reference=HABITUAL,
            margin=0.01,
            paired=True,
            negative_control=FEWER,
        ),
    )


CLAIM = Claim(
    title="How BatchNorm's running statistics are estimated hardly matters",
    statement="How the running statistics are estimated hardly matters: after 400 updates on 120 digits the test "
    "accuracy is that of momentum 0.1, to a point, with momentum 0.5, 0.2, 0.03, 0.01, 0.001 (each a part of its "
    "own), with the plain average over training (cumulative), and with statistics taken anew from all training "
    "batches at the end. All train the same weights.",
    source="study note N2; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1",
    notes=("N2",),
    kind="effect",
    parts={
        **{name if name == "cumulative" else f"momentum {name}": same_accuracy(name) for name in OTHERS},
        "taken anew": Effect(
            experiment=EXPERIMENT,
            arms={"none": {"norm": "none"}, HABITUAL: keeping(0.1), LAGGING: keeping(0.003)},
            metric="reestimation_gap",
            question=Question(
                asks="non-inferior",
                treatment=HABITUAL,
                reference="none",
                margin=0.01,
                paired=True,
                negative_control=LAGGING,
            ),
        ),
    },
    literature="Wu & Johnson 2021 (arXiv:2105.07576) find statistics taken anew as good as the exponential average at "
    "the end of training, and far steadier before; Izmailov et al. 2018 (arXiv:1803.05407) need them taken anew.",
)
