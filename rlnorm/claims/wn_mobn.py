"""WeightNorm, alone and with mean-only BatchNorm, against no norm and BatchNorm."""

from functools import partial

from rlnorm.claims._supervised import NOT_QUICK, quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
# Weight norms start from a batch of data, as sec. 3 of their paper has it.
ARMS: dict[str, Settings] = {
    "none": {"norm": "none"},
    "WN": {"norm": "weight", "data_init": True},
    "WN, mean-only BN": {"norm": "weight_mean_only", "data_init": True},
    "BN": {"norm": "batch"},
}
EXPERIMENT = partial(
    supervised_experiment,
    steps=quick_is_full(400),
    dataset="signals",
    hidden=(64, 64, 64),
    activation="relu",
    init="he",
    optimizer="sgd",
    lr=0.1,
    batch=32,
)


def comparison(treatment: str, reference: str) -> dict[str, Part]:
    """Speed and accuracy of the treatment against the reference's."""
    arms = {name: ARMS[name] for name in (reference, treatment)}
    asks = partial(Question, asks="superior", treatment=treatment, reference=reference)
    more = f"{reference}, more examples"
    pair = f"{treatment} against {reference}"
    return {
        f"{pair}, updates to 50 %": Effect(
            experiment=EXPERIMENT(every=10),
            arms=arms,
            metric="updates_to_50",
            question=asks(margin=1.25, scale="ratio"),
            rates=RATES,
        ),
        f"{pair}, accuracy": Effect(
            experiment=EXPERIMENT(train_size=1000, every=200),
            arms={**arms, more: {**arms[reference], "train_size": 2000}},
            metric="accuracy",
            question=asks(margin=0.01, paired=True, positive_control=more),
            rates=RATES,
            seeds=24,
            presets=NOT_QUICK,
        ),
    }


CLAIM = Claim(
    title="WeightNorm eases learning, best with mean-only BatchNorm",
    statement="Weight normalization eases learning, and does best with mean-only BatchNorm: networks of three layers "
    "of ReLUs with WN reach 50 % on signals in fewer updates than without (by a quarter) and classify better after "
    "training on 1000 examples (by 1 point), and with mean-only BN beside WN they do so against WN alone, and against "
    "BN, each arm at its own best of five rates. Weight norms start from a batch of data.",
    source="note N4; weight normalization: Salimans & Kingma 2016, arXiv:1602.07868, sec. 4 and 5.1",
    notes=("N4",),
    kind="effect",
    parts={
        **comparison("WN", "none"),
        **comparison("WN, mean-only BN", "WN"),
        **comparison("WN, mean-only BN", "BN"),
    },
    literature="Salimans & Kingma 2016 report CIFAR-10 errors of 8.43 % without a norm, 8.46 % with WN, 8.05 % with "
    "BN and 7.31 % with WN and mean-only BN, and faster training with WN.",
)
