"""The effect part of claims about what changes nothing: digits, learnt in as many updates one way as the other."""

from rlnorm.study.claim import PRESETS, Effect, Settings, Supervised
from rlnorm.study.judge import Question


def same_on_digits(treatment: str, changed: Settings, reference: str, as_it_is: Settings) -> Effect:
    """Two hidden layers with BN and ReLU: the updates to 90 %, the same to a quarter? Half the rate is the planted arm.

    Metric and setting were chosen with seeds 8-23 in sight, so judged are those from 24 on.
    """
    slower = {**as_it_is, "lr": 0.005}
    return Effect(
        Supervised(
            steps=dict.fromkeys(PRESETS, 400),
            dataset="digits",
            hidden=(64, 64),
            activation="relu",
            norm="batch",
            init="he",
            optimizer="sgd",
            lr=0.01,
            batch=64,
        ),
        arms={reference: as_it_is, treatment: changed, "half the rate": slower},
        metric="updates_to_90",
        question=Question("equivalent", treatment, reference, margin=1.25, scale="ratio", planted="half the rate"),
        judged_from=24,
    )
