"""The effect part of claims about what changes nothing: digits, learnt in as many updates one way as the other."""

from rlnorm.study.claim import PRESETS, Effect, Question, Settings, supervised_experiment


def same_on_digits(
    treatment: str, changed: Settings, reference: str, as_it_is: Settings, decisive: bool = True
) -> Effect:
    """Two hidden layers with BN and ReLU: are the updates to 90 % the same to a quarter? Half the rate is known worse.

    Metric and setting were chosen with seeds 8-23 in sight, so judged are those from 24 on.
    """
    slower = {**as_it_is, "lr": 0.005}
    return Effect(
        experiment=supervised_experiment(
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
        question=Question(
            asks="equivalent",
            treatment=treatment,
            reference=reference,
            margin=1.25,
            scale="ratio",
            negative_control="half the rate",
        ),
        judged_from=24,
        decisive=decisive,
    )
