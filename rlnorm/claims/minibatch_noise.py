"""Mini-batches and wrong labels: accuracy by the size of the batch and the share of labels that are wrong."""

from functools import partial

from rlnorm.claims._supervised import quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
SMALL, FULL, MORE = "batches of 16", "full batch", "full batch, twice the images"
NOISE = tuple({"label_noise": noise} for noise in (0.0, 0.2, 0.4))
COMMON = partial(
    supervised_experiment,
    dataset="digits",
    activation="relu",
    init="he",
    hidden=(64, 64),
    norm="none",
    train_size=320,
    optimizer="sgd",
    momentum=0.0,
    lr=0.1,
    every=10_000,
)


def parts_of(budget: str, steps: int, own: tuple[float, float]) -> dict[str, Part]:
    """Both parts at equal updates or epochs; `own` are the best rates at 20 % wrong labels, small batch and full."""
    experiment = COMMON(steps=quick_is_full(steps), budget=budget)
    arms: dict[str, Settings] = {SMALL: {"batch": 16}, FULL: {"batch": None}}
    more: Settings = {"batch": None, "train_size": 640}
    superior = partial(Question, asks="superior", treatment=SMALL, reference=FULL, paired=True)
    return {
        f"equal {budget}, 40 % wrong labels": Effect(
            experiment=experiment,
            arms={name: {**arm, "label_noise": 0.4} for name, arm in {**arms, MORE: more}.items()},
            metric="accuracy",
            question=superior(margin=0.01, positive_control=MORE),
            rates=RATES,
            group=f"equal {budget}",
        ),
        f"equal {budget}, from 0 to 40 % wrong labels": Effect(
            experiment=experiment,
            arms={name: {**arm, "lr": rate} for (name, arm), rate in zip(arms.items(), own)},
            metric="accuracy",
            # One point from 0 to 40 %, in two steps.
            question=superior(margin=0.005),
            points=NOISE,
            summary="slope",
            group=f"equal {budget}",
        ),
    }


CLAIM = Claim(
    title="Mini-batches make learning robust to wrong labels",
    statement="Mini-batches make learning robust to wrong labels. On 320 digits without a norm, batches of 16 instead "
    "of all 320: with 40 % of the labels wrong the test accuracy is higher by a point, each at its best of five "
    "rates; and from no wrong labels to 40 % it falls less (by half a point per 20 %), each at the rate that was best "
    "at 20 %. Two readings of the same training: equally many updates, and equally many epochs.",
    source="study note N4",
    notes=("N4",),
    kind="effect",
    parts={**parts_of("updates", 300, (0.1, 0.1)), **parts_of("epochs", 30, (0.03, 0.3))},
    literature="Rolnick et al. 2017 (arXiv:1705.10694) find larger batches better when labels are wrong. Keskar et "
    "al. 2017 (arXiv:1609.04836) find that small batches generalize better with right labels.",
)
