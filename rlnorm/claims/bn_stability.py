"""BatchNorm and how steadily networks learn over a range of learning rates."""

from rlnorm.claims._supervised import NOT_QUICK, trained
from rlnorm.study.claim import PRESETS, Claim, Effect, Preset, Question, Settings

ARMS: dict[str, Settings] = {"none": {"norm": "none"}, "batch": {"norm": "batch"}}
WIDE = tuple({"lr": rate} for rate in (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0))
LEARNT_AT = tuple({"lr": rate} for rate in (0.01, 0.03, 0.1))
"""Rates at which networks of both arms learn, so that what is compared is how and not whether."""


def parts(name: str, activation: str, init: str, presets: tuple[Preset, ...]) -> dict[str, Effect]:
    """Both readings of "steadier" for one activation."""
    experiment = trained(200, every=5, hidden=(64, 64, 64), activation=activation, init=init, lr=0.03)
    return {
        f"{name}, no worse than guessing": Effect(
            experiment=experiment,
            arms=ARMS,
            metric="kept_learning",
            question=Question(asks="superior", treatment="batch", reference="none", margin=0.05),
            points=WIDE,
            presets=presets,
            group=name,
        ),
        **{
            f"{name}, {metric.replace('_', ' ')}": Effect(
                experiment=experiment,
                arms=ARMS,
                metric=metric,
                question=Question(asks="superior", treatment="batch", reference="none", margin=1.25, scale="ratio"),
                points=LEARNT_AT,
                presets=presets,
                group=name,
                decisive=metric == "roughness",
            )
            for metric in ("roughness", "relative_roughness")
        },
    }


CLAIM = Claim(
    title="BatchNorm makes learning steadier",
    statement="BatchNorm makes learning steadier, in two readings: over nine rates from 0.001 to 10 fewer runs "
    "diverge or end with a training loss no better than guessing (by a fraction of 0.05), and at three rates at "
    "which both learn the training loss rises less from record to record (by a quarter); with tanh and with ReLU. "
    "(Rises of the loss's logarithm are judged beside: the lower a loss already is, the larger they are in batches "
    "of 64.)",
    source="study notes N0, N1 and N2",
    notes=("N0", "N1", "N2"),
    kind="effect",
    parts={**parts("ReLU", "relu", "he", PRESETS), **parts("tanh", "tanh", "xavier", NOT_QUICK)},
    literature="Bjorck et al. 2018 (arXiv:1806.02375) see networks without BN diverge at rates that BN allows; "
    "Santurkar et al. 2018 (arXiv:1805.11604) see the loss vary less along the gradient with it.",
)
