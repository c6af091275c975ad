"""The engines that units run on, by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rlnorm.dqn
import rlnorm.supervised

Record = Mapping[str, object]


@dataclass(frozen=True)
class Engine:
    """How to train, what can be wrong with the settings, and how many updates a budget of steps comes to."""

    train: Callable[..., Iterator[Record]]
    errors: Callable[..., Iterator[str]]
    updates: Callable[[int, Mapping[str, Any]], float]


TRAINING: Mapping[str, Engine] = {
    "dqn": Engine(
        rlnorm.dqn.train,
        rlnorm.dqn.errors,
        lambda steps, settings: (steps - settings["starts"]) / settings["train_every"] * settings["updates"],
    ),
    "supervised": Engine(rlnorm.supervised.train, rlnorm.supervised.errors, lambda steps, _: steps),
}

_BODY = ("nn", "networks.py", "population.py", "optimizers.py", "compiling.py", "tasks")
_ALGEBRA = ("nn", "textbook.py", "textbook")

# What the rows of each engine depend on, relative to the package.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "dqn": (*_BODY, "dqn"),
    "supervised": (*_BODY, "supervised"),
    "exact": (*_ALGEBRA, "study/exact.py", "study/cases.py", "study/short_formula.py"),
    "cost": (*_BODY, *_ALGEBRA, "supervised", "dqn", "study/cost.py"),
}
