"""Where BatchNorm stands: before or after the activation, with its scale and shift or without them."""

from functools import partial

from rlnorm.claims._supervised import counted, quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

# Activation -> the initialization that is made for it, and rates with the best ones inside (from pilots).
ACTIVATIONS = {"ReLU": ("he", (0.003, 0.01, 0.03, 0.1, 0.3)), "sigmoid": ("xavier", (0.01, 0.03, 0.1, 0.3, 1.0))}
SEEDS = 24
MORE = "more examples"


def parts_of(activation: str) -> dict[str, Part]:
    """All parts with one activation."""
    init, rates = ACTIVATIONS[activation]
    effect = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(400),
            dataset="signals",
            train_size=1000,
            hidden=(64, 64),
            norm="batch",
            activation=activation.lower(),
            init=init,
            optimizer="sgd",
            lr=0.03,
            batch=32,
            every=200,
        ),
        metric="accuracy",
        rates=rates,
        seeds=SEEDS,
        group=activation,
    )
    before: Settings = {"place": "before"}
    after: Settings = {"place": "after"}
    bare: Settings = {"affine": False}
    better = partial(Question, asks="superior", margin=0.01, paired=True)
    return {
        f"{activation}, before against after": effect(
            arms={"after": after, "before": before, MORE: {**after, "train_size": 2000}},
            question=better(treatment="before", reference="after", positive_control=MORE),
        ),
        f"{activation}, before, scale and shift": effect(
            arms={"bare": {**before, **bare}, "affine": before, MORE: {**before, **bare, "train_size": 2000}},
            question=better(treatment="affine", reference="bare", positive_control=MORE),
            **counted(activation == "ReLU"),
        ),
        f"{activation}, after, scale and shift": effect(
            arms={"bare": {**after, **bare}, "affine": after, MORE: {**after, **bare, "train_size": 2000}},
            question=better(treatment="affine", reference="bare", positive_control=MORE),
            **counted(activation == "ReLU"),
        ),
    }


CLAIM = Claim(
    title="BatchNorm belongs before the activation",
    statement="BatchNorm belongs between a layer and its activation: networks with it there classify better than with "
    "it behind the activation, ReLU or sigmoid. With ReLU half of what is normalized is lost unless scale and shift "
    "repair it: with them networks classify better than without. The note does not say whether the half is lost when "
    "BN stands before ReLU, which cuts it off, or behind, so both are parts. Better means by 1 point of test accuracy "
    "on signals (1000 examples), each arm at its own best of five rates. (The same for sigmoid stands beside.)",
    source="study notes N3 and N4; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N3", "N4"),
    kind="effect",
    literature="Ioffe & Szegedy 2015 put BN before the activation, since what a linear layer gives is more symmetric; "
    "Mishkin et al. 2017, arXiv:1606.02228, find it slightly better behind ReLU on ImageNet.",
    parts={name: part for activation in ACTIVATIONS for name, part in parts_of(activation).items()},
)
