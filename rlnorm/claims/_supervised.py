"""What several supervised claims share: networks, budgets, and a comparison at the common and at own best rates."""

from collections.abc import Mapping
from typing import Any

from rlnorm.study.claim import PRESETS, Effect, Experiment, Preset, Question, Settings, supervised_experiment

NETS: dict[str, Settings] = {
    "ReLU": {"activation": "relu", "init": "he"},
    "tanh": {"activation": "tanh", "init": "xavier"},
}
"""Activations with the initialization made for each."""

NOT_QUICK: tuple[Preset, ...] = ("smoke", "full")
"""For parts that quick leaves out: it has a minute for each claim, and 25 for all of them."""


def counted(decisive: bool) -> dict[str, Any]:
    """Whether a part counts for the overall verdict; quick leaves out what stands beside."""
    return {"decisive": decisive, "presets": PRESETS if decisive else NOT_QUICK}


def quick_is_full(steps: int) -> dict[Preset, int]:
    """So many updates, or epochs, at quick as at full, so that the verdict counts at quick; a tenth at smoke."""
    return {"smoke": min(max(steps // 10, 2), steps), "quick": steps, "full": steps}


def trained(updates: int, **settings: Any) -> Experiment:
    """So many updates on digits, unless the settings say otherwise, by gradient descent with momentum."""
    return supervised_experiment(
        steps=quick_is_full(updates), **{"dataset": "digits", "optimizer": "sgd", "batch": 64, **settings}
    )


def at_both_rates(
    name: str,
    experiment: Experiment,
    arms: Mapping[str, Settings],
    metric: str,
    question: Question,
    rates: tuple[float, ...],
    presets: tuple[tuple[Preset, ...], tuple[Preset, ...]] = (PRESETS, PRESETS),
    **how: Any,
) -> dict[str, Effect]:
    """Two parts (rule 6): all arms at the experiment's rate, and each at its own best of `rates`.

    `presets` are those of the first part and those of the second.
    """
    parts = {"common rate": ((), presets[0]), "own best rate": (rates, presets[1])}
    return {
        f"{name}, {which}": Effect(
            experiment=experiment,
            arms=arms,
            metric=metric,
            question=question,
            rates=grid,
            presets=at,
            group=name,
            **how,
        )
        for which, (grid, at) in parts.items()
    }
