"""BatchNorm in dropout's place, and dropout beside BatchNorm, where dropout helps: wrong labels, and few examples."""

from functools import partial

from rlnorm.claims._supervised import NOT_QUICK, quick_is_full
from rlnorm.study.claim import PRESETS, Claim, Effect, Part, Question, Settings, supervised_experiment

UPDATES, SEEDS = 400, 32
P = 0.4  # of dropout: with wrong labels, pilots score higher with it than with 0.2
HARDER, EASIER = {"label_noise": 0.45}, {"label_noise": 0.1}
# Data -> its settings, rates, what makes it harder and what makes it easier. Wrong labels are best learned slowly.
DATA: dict[str, tuple[Settings, tuple[float, ...], Settings, Settings]] = {
    "wrong labels": ({"train_size": 300, "label_noise": 0.3}, (0.001, 0.003, 0.01, 0.03, 0.1), HARDER, EASIER),
    "few examples": ({"train_size": 100}, (0.003, 0.01, 0.03, 0.1, 0.3), {"train_size": 70}, {"train_size": 200}),
}


def parts_on(data: str) -> dict[str, Part]:
    """All parts on one data set."""
    settings, rates, harder, easier = DATA[data]
    none: Settings = {"norm": "none"}
    batch: Settings = {"norm": "batch"}
    dropout: Settings = {**none, "dropout": P}
    effect = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(UPDATES),
            dataset="digits",
            hidden=(64, 64),
            activation="relu",
            init="he",
            optimizer="sgd",
            lr=0.03,
            batch=32,
            every=UPDATES // 20,
            **settings,
        ),
        metric="accuracy",
        rates=rates,
        seeds=SEEDS,
        presets=PRESETS if data == "wrong labels" else NOT_QUICK,
        group=data,
    )
    by_a_point = partial(Question, margin=0.01, paired=True)
    return {
        f"{data}, BN in dropout's place": effect(
            arms={"dropout": dropout, "batch": batch, "harder, dropout": {**dropout, **harder}},
            question=by_a_point(
                asks="non-inferior", treatment="batch", reference="dropout", negative_control="harder, dropout"
            ),
        ),
        f"{data}, dropout beside BN": effect(
            arms={
                "batch": batch,
                "both": {**batch, "dropout": P},
                "harder, batch": {**batch, **harder},
                "easier, batch": {**batch, **easier},
            },
            question=by_a_point(
                asks="not better",
                treatment="both",
                reference="batch",
                negative_control="harder, batch",
                positive_control="easier, batch",
            ),
        ),
        f"{data}, BN against nothing": effect(
            arms={"none": none, "batch": batch, "easier, none": {**none, **easier}},
            question=by_a_point(asks="superior", treatment="batch", reference="none", positive_control="easier, none"),
        ),
        f"{data}, dropout against nothing": effect(
            arms={"none": none, "dropout": dropout, "easier, none": {**none, **easier}},
            question=by_a_point(
                asks="superior", treatment="dropout", reference="none", positive_control="easier, none"
            ),
            decisive=False,
        ),
    }


CLAIM = Claim(
    title="BatchNorm's noise replaces dropout",
    statement="The noise of BatchNorm's batch statistics acts like dropout, and dropout becomes unnecessary: where "
    "dropout is meant to help (digits with 30 % wrong labels, and 100 digits), networks with BN classify at least as "
    "well as with dropout (probability 0.4) instead, gain nothing from dropout beside it, and are better than with "
    "neither, each by 1 point of test accuracy, each arm at its own best of five rates, in batches of 32. (Whether "
    "dropout helps is judged beside.)",
    source="study notes N3 and N4; dropout: Srivastava et al. 2014, J. Mach. Learn. Res. 15:1929",
    notes=("N3", "N4"),
    kind="effect",
    literature="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 4.2.1 drop dropout from Inception and lose no accuracy; "
    "Li et al. 2019, arXiv:1801.05134, find that dropout before BN harms, since it shifts variances between training "
    "and test.",
    parts={name: part for data in DATA for name, part in parts_on(data).items()},
)
