"""The learning rates at which networks learn, with BatchNorm and without: small ones and large ones apart."""

from dataclasses import replace
from functools import partial

from rlnorm.claims._supervised import trained
from rlnorm.study.claim import Claim, Effect, Question, Settings

# Half a decade apart; the middle, 0.01 to 0.03, works for all.
SMALL = tuple({"lr": rate} for rate in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3))
LARGE = tuple({"lr": rate} for rate in (1e-1, 3e-1, 1.0, 3.0, 10.0, 30.0))
EXPERIMENT = trained(600, every=20, hidden=(64, 64, 64), activation="relu", init="he", lr=0.03)

wider = partial(
    Effect,
    # In full, twelve rates of both arms are more than quick has time for.
    experiment=replace(EXPERIMENT, steps={**EXPERIMENT.steps, "quick": 200}),
    arms={"none": {"norm": "none"}, "batch": {"norm": "batch"}},
    metric="reaches_80",
    # One of six points is half a decade.
    question=Question(asks="superior", treatment="batch", reference="none", margin=1 / 12),
)


def literal(lr: float) -> Effect:
    """Does BN at this rate still reach what it reaches at a good one?"""
    arms: dict[str, Settings] = {"extreme": {"lr": lr}, "middle": {}, "fewer examples": {"train_size": 64}}
    return Effect(
        experiment=replace(EXPERIMENT, settings={**EXPERIMENT.settings, "norm": "batch"}),
        arms=arms,
        metric="accuracy",
        question=Question(
            asks="non-inferior",
            treatment="extreme",
            reference="middle",
            margin=0.05,
            negative_control="fewer examples",
        ),
    )


CLAIM = Claim(
    title="With BatchNorm no learning rate fails",
    statement="With BatchNorm neither small nor large learning rates fail any more. Read as a comparison: of six "
    "rates half a decade apart, from 1e-5 to 3e-3 and from 0.1 to 30, networks with it reach 80 % test accuracy on "
    "digits in 600 updates at more rates than networks without, by a quarter of a decade. Read literally: at 1e-4 "
    "and at 10 they end no less accurate, by 5 points, than at 0.03.",
    source="study notes N2 and N4",
    notes=("N2", "N4"),
    kind="effect",
    parts={
        "small rates, wider": wider(points=SMALL, group="wider"),
        "large rates, wider": wider(points=LARGE, group="wider"),
        "0.0001, literally": replace(literal(1e-4), group="literally"),
        "10, literally": replace(literal(10.0), group="literally"),
    },
    literature="Ioffe & Szegedy 2015 (arXiv:1502.03167, sec. 3.3) argue that BN makes backward propagation "
    "independent of the weights' scale and allows larger rates; Bjorck et al. 2018 (arXiv:1806.02375) find that this "
    "is most of its use.",
)
