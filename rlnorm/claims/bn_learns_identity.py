"""Whether BatchNorm's scale and shift learn to undo it, on a task whose answer is the raw length of the input."""

from functools import partial

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

SITES = {"at the input": ("input",), "in hidden layers": ("hidden",)}
NONE: Settings = {"norm": "none"}


def parts_at(place: str) -> dict[str, Part]:
    """How near the norms come to the identity, and what the network loses by them."""
    batch: Settings = {"norm": "batch", "sites": SITES[place]}
    experiment = partial(
        supervised_experiment,
        steps=quick_is_full(400),
        dataset="lengths",
        train_size=50,
        hidden=(64, 64),
        activation="relu",
        init="he",
        optimizer="sgd",
        lr=0.03,
        batch=32,
        every=200,
    )
    return {
        f"{place}, nearer to the identity": Effect(
            experiment=experiment(probes=10),
            arms={
                "fixed": {**batch, "affine": False},
                "learned": batch,
                "scale and shift alone": {**batch, "norm": "scale_shift"},
            },
            metric="identity_distance",
            question=Question(
                asks="superior",
                treatment="learned",
                reference="fixed",
                margin=1.25,
                scale="ratio",
                positive_control="scale and shift alone",
            ),
            group=place,
        ),
        f"{place}, nothing lost": Effect(
            experiment=experiment(),
            arms={"none": NONE, "BN": batch, "length removed": {"norm": "layer", "sites": ("input",)}},
            metric="explained",
            question=Question(
                asks="non-inferior",
                treatment="BN",
                reference="none",
                margin=0.05,
                paired=True,
                negative_control="length removed",
            ),
            rates=(0.001, 0.003, 0.01, 0.03, 0.1),
            group=place,
            seeds=32,
        ),
    }


CLAIM = Claim(
    title="The network decides whether it is normalized",
    statement="With scale and shift the network itself decides whether normalization is needed: where the answer is "
    "the raw length of the input, scale and shift learn to undo BatchNorm, so that a norm's outputs come at least a "
    "quarter nearer to its inputs (distance over length, mean over training) than with both fixed at 1 and 0, and the "
    "network loses nothing, by 0.05 of the variance explained against no norm at its best of five rates. Asked of BN "
    "at the input, and in hidden layers.",
    source="note N3; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N3",),
    kind="effect",
    parts={name: part for place in SITES for name, part in parts_at(place).items()},
    literature="Ioffe & Szegedy 2015 note that gamma and beta can make BN the identity; whether training does so they "
    "do not report.",
)
