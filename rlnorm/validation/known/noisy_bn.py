"""BatchNorm with noise behind it, which makes the inputs of layers less steady, is still better than no norm."""

from functools import partial

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.validation.known._trained import trained

PART = partial(Effect, arms={"none": {"norm": "none"}, "noisy batch": {"norm": "batch", "noise": 0.5}})
COMMON = {"hidden": (64, 64, 64), "activation": "relu", "init": "he", "batch": 64, "lr": 0.03}
BETTER = partial(Question, asks="superior", scale="ratio", margin=1.0)

CLAIM = Claim(
    title="Noisy BatchNorm is better though less steady",
    statement="Three ReLU layers on digits reach 80 % test accuracy in fewer updates with BatchNorm whose outputs are "
    "moved and scaled by new noise at every update (by up to half a standard deviation, and up to a quarter larger) "
    "than without a norm, at one rate for both, although the inputs of the last activation are less steady: from one "
    "update to the next, over the first 40, their means move farther, in standard deviations, than without a norm.",
    source="Santurkar et al. 2018, arXiv:1805.11604, sec. 2.2",
    kind="effect",
    parts={
        "still faster": PART(
            experiment=trained(100, every=2, **COMMON),
            metric="updates_to_80",
            question=BETTER(treatment="noisy batch", reference="none"),
        ),
        "less steady": PART(
            experiment=trained(40, every=1, probes=40, **COMMON),
            metric="activation_drift",
            question=BETTER(treatment="none", reference="noisy batch"),
        ),
    },
    literature="VGG on CIFAR-10 with noisy BN trains nearly as well as with BN and better than without, though its "
    "layers' distributions are less stable than those of the network without a norm (fig. 2).",
)
