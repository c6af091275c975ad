"""The engines that an experiment may name: how they train, what their settings are, what can be wrong with them.

They stand in this room because a declaration is checked against its engine before anything is planned.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import rlnorm.dqn
import rlnorm.sb3.train
import rlnorm.supervised
from rlnorm.config import Config
from rlnorm.study.claim.declare import DQNEngine, Record
from rlnorm.tasks.environments import registration_errors


@dataclass(frozen=True)
class Engine:
    """How to train, and what the settings are: `seeds`, `rates` and `steps` are among them.

    module     where the code that decides the rows begins: its imports are followed
    compiled   how many updates a budget of steps comes to, if they can be compiled: it pays from some number on
    block      judged seeds trained as one population
    libraries  whose versions decide the rows too, beside those that decide all rows
    probes     whether its records hold probes
    per_member  the settings, besides the rate, that may differ between members of one population
    """

    module: str
    train: Callable[..., Iterator[Record]]
    settings: type[Config]
    compiled: Callable[[Any], int]
    block: int = 16
    libraries: tuple[str, ...] = ()
    probes: bool = False
    per_member: frozenset[str] = frozenset()

    def errors(self, **settings: Any) -> Iterator[str]:
        """One sentence for each setting that cannot be used in a process of its own, where units run."""
        yield from self.settings.errors_in(settings)
        if isinstance(settings.get("env"), str):
            yield from registration_errors(settings["env"])


TRAINING: Mapping[str, Engine] = {
    "dqn": Engine(
        "rlnorm.dqn.train", rlnorm.dqn.train, rlnorm.dqn.Settings, lambda run: run.total_updates, probes=True
    ),
    "supervised": Engine(
        "rlnorm.supervised.train",
        rlnorm.supervised.train,
        rlnorm.supervised.Settings,
        lambda run: run.total_updates,
        block=96,
        probes=True,
        per_member=rlnorm.supervised.Settings.per_member(),
    ),
    # The same settings as "dqn", run by stable-baselines3, one agent after the other and never compiled.
    "sb3": Engine(
        "rlnorm.sb3.train",
        rlnorm.sb3.train.train,
        rlnorm.sb3.train.SB3Settings,
        lambda _: 0,
        block=1,
        libraries=("stable-baselines3", "sb3-contrib"),
    ),
}
DQN_ENGINES = get_args(DQNEngine)
"""An arm of one of them can be run through the other."""
