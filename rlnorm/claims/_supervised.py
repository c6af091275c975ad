"""What several supervised claims share: a comparison at the common and at each arm's own best rate."""

from collections.abc import Mapping
from typing import Any

from rlnorm.study.claim import Effect, Experiment, Preset, Question, Settings, supervised_experiment


def quick_is_full(steps: int) -> dict[Preset, int]:
    """So many updates, or epochs, at quick as at full, so that the verdict counts at quick; a tenth at smoke."""
    return {"smoke": min(max(steps // 10, 2), steps), "quick": steps, "full": steps}


def trained(updates: int, **settings: Any) -> Experiment:
    """So many updates on digits, unless the settings say otherwise, by gradient descent with momentum."""
    return supervised_experiment(
        steps=quick_is_full(updates), **{"dataset": "digits", "optimizer": "sgd", "batch": 64, **settings}
    )


def at_both_rates(
    name: str, experiment: Experiment, arms: Mapping[str, Settings], metric: str, question: Question, **how: Any
) -> dict[str, Effect]:
    """Two parts (rule 6): all arms at the experiment's rate, and each at its own best of `rates`."""
    rates = how.pop("rates")
    parts = {"common rate": (), "own best rate": rates}
    return {
        f"{name}, {which}": Effect(
            experiment=experiment, arms=arms, metric=metric, question=question, rates=each, group=name, **how
        )
        for which, each in parts.items()
    }
