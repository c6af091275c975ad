"""Ioffe & Szegedy's first experiment in small: three layers of 100 sigmoids with and without BatchNorm."""

from functools import partial

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.validation.known._trained import trained

PART = partial(
    Effect,
    experiment=trained(
        400, hidden=(100, 100, 100), activation="sigmoid", init="xavier", batch=60, lr=0.1, every=10, probes=10
    ),
    arms={"none": {"norm": "none"}, "batch": {"norm": "batch"}},
)
BETTER = partial(Question, asks="superior", treatment="batch", reference="none")

CLAIM = Claim(
    title="BatchNorm speeds up and steadies sigmoid networks",
    statement="Three layers of 100 sigmoids, in batches of 60: with BatchNorm they reach 80 % test accuracy on digits "
    "in fewer updates than without, and the inputs of the last layer's sigmoids stay steadier while they learn (means "
    "move less, in standard deviations, from probe to probe, 40 updates apart). Both arms have one rate, as in the "
    "paper; MNIST is replaced by digits of 8 x 8 pixels and 50,000 updates by 400.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 4.1",
    kind="effect",
    parts={
        "faster": PART(metric="updates_to_80", question=BETTER(margin=1.0, scale="ratio")),
        "steadier inputs": PART(metric="activation_drift", question=BETTER(margin=1.0, scale="ratio")),
    },
    literature="With BN the network trains faster and to a higher accuracy, and the distribution of a typical input "
    "of the last hidden layer's sigmoids is much more stable (fig. 1).",
)
