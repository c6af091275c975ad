"""Small batches: BatchNorm's error rises as the batch shrinks, GroupNorm's does not."""

from rlnorm.study.claim import Claim, Effect, Question, Settings
from rlnorm.validation.known._trained import trained

BATCH: Settings = {"norm": "batch"}
GROUP: Settings = {"norm": "group", "norm_kwargs": {"num_groups": 4}}
RATE = 0.03
"""At a batch of 32. Rates fall with the batch, as in the paper."""
HALVINGS = tuple({"batch": batch, "lr": RATE * batch / 32} for batch in (32, 16, 8, 4, 2))
LARGE, SMALL = HALVINGS[0], HALVINGS[-1]
EXPERIMENT = trained(
    10,
    smoke=1,
    hidden=(64, 64),
    activation="relu",
    init="he",
    train_size=150,
    budget="epochs",
    every=10_000,
    **LARGE,
)

CLAIM = Claim(
    title="Small batches break BatchNorm, not GroupNorm",
    statement="In a network of two hidden layers, test accuracy on digits falls faster with BatchNorm than with "
    "GroupNorm as the batch is halved from 32 to 2 (the difference of both slopes over the batches), and with "
    "GroupNorm it is no worse, by 1 point, at a batch of 2 than at 32. Rates fall with the batch, epochs are equal. "
    "(The network has no convolutions, so that a batch of 2 leaves 2 values behind each mean: in maps of digits the "
    "pixels add tens of them, and in pilots BN lost nothing.)",
    source="Wu & He 2018, arXiv:1803.08494, sec. 4.1",
    kind="effect",
    parts={
        "BN falls faster": Effect(
            experiment=EXPERIMENT,
            arms={"batch": BATCH, "group": GROUP},
            metric="accuracy",
            question=Question(asks="superior", treatment="group", reference="batch", margin=0.0, paired=True),
            points=HALVINGS,
            summary="slope",
        ),
        "GN does not fall": Effect(
            experiment=EXPERIMENT,
            arms={
                "group, batch 32": {**GROUP, **LARGE},
                "group, batch 2": {**GROUP, **SMALL},
                "batch norm, batch 2": {**BATCH, **SMALL},
            },
            metric="accuracy",
            question=Question(
                asks="non-inferior",
                treatment="group, batch 2",
                reference="group, batch 32",
                margin=0.01,
                paired=True,
                negative_control="batch norm, batch 2",
            ),
        ),
    },
    literature="ResNet-50 on ImageNet, validation error at 32, 16, 8, 4, 2 images a worker: BN 23.6, 23.7, 24.8, 27.3, "
    "34.7 %, GN 24.1, 24.2, 24.0, 24.2, 24.1 % (table 2).",
)
