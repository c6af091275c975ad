"""Test inputs from another distribution than the training inputs: what it costs, and what BatchNorm does about it."""

from dataclasses import replace
from functools import partial

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

FRESH = 40  # seeds 8-23 were judged when parts had no headroom
# Pixels lie in [0, 1]. The shift is in standard deviations of all pixels, the gain a factor on each. Both are large
# enough that a network without a norm loses several points: at 0.4 it loses one (seeds 0-3).
SHIFTS: dict[str, Settings] = {"brighter": {"test_shift": 1.0}, "paler": {"test_gain": 0.2}}
# The best of (0.003, 0.01, 0.03, 0.1, 0.3) on unshifted test inputs, for each norm, in small pilots of similar nets.
NONE: Settings = {"norm": "none", "lr": 0.03}
LAYER: Settings = {"norm": "layer", "lr": 0.03}
BATCH: Settings = {"norm": "batch", "lr": 0.1}
EXPERIMENT = supervised_experiment(
    steps=quick_is_full(200),
    dataset="digits",
    activation="relu",
    init="he",
    hidden=(64, 64),
    train_size=300,
    batch=32,
    optimizer="sgd",
    lr=0.03,
    every=10_000,
    reestimate="test",
)
# Trained on 300 images, BN stood at 0.94 of what is reachable, above the 0.9 of rule 5 (seeds 8-23); on 100, at 0.86
# (seeds 10000-10005), and 0.1 is still its best rate. There a shift costs networks without a norm 2 to 6 points, which
# may not be told apart; 60 images cost BN 6 (seeds 10000-10007), and are the negative control.
FEWER = replace(EXPERIMENT, settings={**EXPERIMENT.settings, "train_size": 100})


def parts_of(shift: str) -> dict[str, Part]:
    """All parts under one shift."""
    moved = SHIFTS[shift]
    better = partial(Question, asks="superior", margin=0.01, paired=True)
    part = partial(Effect, experiment=EXPERIMENT, metric="accuracy")
    none, as_trained, fewer = {**NONE, **moved}, "none, inputs as in training", "BN, inputs as in training, 60 images"
    return {
        f"{shift}, it costs accuracy": part(
            arms={"none": none, as_trained: NONE},
            question=better(treatment=as_trained, reference="none"),
            group="a shift costs accuracy",
        ),
        f"{shift}, BN with its statistics": part(
            arms={"none": none, "BN": {**BATCH, **moved}, as_trained: NONE},
            question=better(treatment="BN", reference="none", positive_control=as_trained),
            group="BN helps",
        ),
        f"{shift}, BN with statistics of the shifted inputs": part(
            arms={"none": none, "BN": {**BATCH, **moved}},
            metric="accuracy_reestimated",
            question=better(treatment="BN", reference="none"),
            group="BN helps, statistics taken anew",
        ),
        f"{shift}, LN": part(
            arms={"none": none, "LN": {**LAYER, **moved}, as_trained: NONE},
            question=better(treatment="LN", reference="none", positive_control=as_trained),
            decisive=False,
        ),
        f"{shift}, no retraining needed": part(
            experiment=FEWER,
            arms={"BN, inputs as in training": BATCH, "BN": {**BATCH, **moved}, fewer: {**BATCH, "train_size": 60}},
            metric="accuracy_reestimated",
            question=Question(
                asks="non-inferior",
                treatment="BN",
                reference="BN, inputs as in training",
                margin=0.01,
                paired=True,
                negative_control=fewer,
            ),
            judged_from=FRESH,
            decisive=False,
        ),
    }


CLAIM = Claim(
    title="BatchNorm helps when test inputs have shifted",
    statement="When test inputs are distributed otherwise than training inputs (brighter by a standard deviation, or "
    "paler to a fifth), a network without a norm classifies digits worse, and BatchNorm helps. Help has two readings: "
    "BN with the running statistics of training, and with statistics taken anew from the shifted inputs, without "
    "their labels. Each is at the rate that is best for unshifted inputs; one point of accuracy counts. (Judged "
    "beside: LN, and, trained on 100 images and not on 300, whether BN with statistics taken anew needs no "
    "retraining.)",
    source="study notes N2 and N4; covariate shift: Shimodaira 2000, J. Stat. Plan. Inference 90:227",
    notes=("N2", "N4"),
    kind="effect",
    parts={name: part for shift in SHIFTS for name, part in parts_of(shift).items()},
    literature="Li et al. 2016 (arXiv:1603.04779) adapt to another domain by taking BN's statistics anew; Schneider "
    "et al. 2020 (arXiv:2006.16971) gain much on corrupted ImageNet by it, where BN with old statistics fails.",
)
