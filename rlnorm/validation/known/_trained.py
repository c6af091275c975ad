"""The experiments of known answers: gradient descent on digits, as long at quick as at full."""

from typing import Any

from rlnorm.study.claim import Experiment, supervised_experiment


def trained(steps: int, smoke: int = 3, **settings: Any) -> Experiment:
    """So many updates (or epochs) on digits, unless the settings say otherwise."""
    return supervised_experiment(
        steps={"smoke": min(smoke, steps), "quick": steps, "full": steps},
        **{"dataset": "digits", "optimizer": "sgd", **settings},
    )
