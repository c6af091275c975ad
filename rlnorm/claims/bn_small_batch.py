"""BatchNorm on small batches, in a network of vectors and in one of maps, against GN, which knows no batch."""

from functools import partial

from rlnorm.claims._supervised import counted, quick_is_full
from rlnorm.study.claim import Claim, Effect, Question, Settings, supervised_experiment

COMMON = partial(
    supervised_experiment, activation="relu", init="he", train_size=150, budget="epochs", every=10_000, optimizer="sgd"
)
VECTORS = partial(COMMON, steps=quick_is_full(10), dataset="digits", hidden=(64, 64))
MAPS = partial(
    COMMON, steps=quick_is_full(5), dataset="digits_image", hidden=(), channels=(16, 16, 16), batch=2, lr=0.006
)
BATCH, GROUP, NONE = {"norm": "batch"}, {"norm": "group"}, {"norm": "none"}
GROUPS_OF_MAPS = {**GROUP, "norm_kwargs": {"num_groups": 4}}
RENORM = {"norm": "batch_renorm", "norm_kwargs": {"momentum": 0.1}}
RATES = {2: (0.0006, 0.002, 0.006, 0.02, 0.06), 4: (0.001, 0.004, 0.012, 0.04, 0.12)}
# Rates fall with the batch, as in Wu & He 2018: one rate for all would be too large for the small ones.
HALVINGS = tuple({"batch": batch, "lr": 0.03 * batch / 32} for batch in (32, 16, 8, 4, 2))


def vectors(batch: int, other: str, settings: Settings, decisive: bool = True) -> Effect:
    """Vectors in batches of one size, with BN and with something else, each at its own best rate."""
    return Effect(
        experiment=VECTORS(batch=batch, lr=RATES[batch][2]),
        arms={"BN": BATCH, other: settings},
        metric="accuracy",
        question=Question(asks="superior", treatment=other, reference="BN", margin=0.01, paired=True),
        rates=RATES[batch],
        group="vectors" if decisive else "",
        **counted(decisive),
    )


CLAIM = Claim(
    title="Small batches break BatchNorm",
    statement="Small batches break BatchNorm. With two images a batch, digits are classified at least 1 point worse "
    "with BN than with GN: in a network of vectors (2 values behind each mean) and in one of three convolutions (72, "
    "32 and 8 values behind each mean); among vectors also worse than without a norm. Each is at its best of five "
    "rates. Among vectors, from 32 images a batch down to 2, at rates that fall with the batch, accuracy falls faster "
    "with BN than with GN (by a quarter of a point per halving). Epochs are equal, on 150 images. (Batches of 4, and "
    "batch renormalization at 2, are judged beside.)",
    source="Ioffe 2017, arXiv:1702.03275, sec. 1; Wu & He 2018, arXiv:1803.08494",
    notes=("N3", "N4"),
    kind="effect",
    parts={
        "vectors, batch 2, GN": vectors(2, "GN", GROUP),
        "vectors, batch 2, no norm": vectors(2, "none", NONE),
        "vectors, from batch 32 to 2": Effect(
            experiment=VECTORS(lr=0.03, batch=32),
            arms={"BN": BATCH, "GN": GROUP},
            metric="accuracy",
            # Rule 3's one point, over four halvings.
            question=Question(asks="superior", treatment="GN", reference="BN", margin=0.0025, paired=True),
            points=HALVINGS,
            summary="slope",
            group="vectors",
        ),
        "maps, batch 2": Effect(
            experiment=MAPS(),
            arms={"BN": BATCH, "GN": GROUPS_OF_MAPS, "BN on 300 images": {**BATCH, "train_size": 300}},
            metric="accuracy",
            question=Question(
                asks="superior",
                treatment="GN",
                reference="BN",
                margin=0.01,
                paired=True,
                positive_control="BN on 300 images",
            ),
            rates=RATES[2],
            seeds=32,  # on pilot seeds runs differ by more than twice the margin
        ),
        "beside, vectors, batch 4": vectors(4, "GN", GROUP, decisive=False),
        "beside, vectors, batch 2, renormalized": vectors(2, "BRN", RENORM, decisive=False),
    },
    literature="Wu & He 2018 (arXiv:1803.08494), ResNet-50 on ImageNet, validation error at 32, 16, 8, 4, 2 images a "
    "worker: BN 23.6, 23.7, 24.8, 27.3, 34.7 %, GN 24.1, 24.2, 24.0, 24.2, 24.1 %.",
)
