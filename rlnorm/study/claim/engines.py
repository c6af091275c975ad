"""The engines that an experiment may name: how they train, what their settings are, what can be wrong with them.

They stand in this room because a declaration is checked against its engine before anything is planned.

An engine's code is imported when it is first asked for: torch and its compiler take seconds and 250 MB, which a process
that trains nothing and checks nothing of it can do without.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, get_args

from rlnorm.config import Config
from rlnorm.study.claim.declare import DQNEngine, Record
from rlnorm.tasks.environments import registration_errors


@dataclass(frozen=True)
class Engine:
    """How to train, and what the settings are: `seeds`, `rates` and `steps` are among them.

    module     where the code that decides the rows begins: its imports are followed; it holds `train` and the settings
    declares   the name of their class
    compiled   how many updates a budget of steps comes to, if they can be compiled: it pays from some number on
    block      judged seeds trained as one population
    libraries  whose versions decide the rows too, beside those that decide all rows
    probes     whether its records hold probes
    """

    module: str
    compiled: Callable[[Any], int]
    declares: str = "Settings"
    block: int = 16
    libraries: tuple[str, ...] = ()
    probes: bool = False

    @cached_property
    def train(self) -> Callable[..., Iterator[Record]]:
        """Trains one population."""
        return import_module(self.module).train

    @cached_property
    def settings(self) -> type[Config]:
        """What can be set."""
        return getattr(import_module(self.module), self.declares)

    @cached_property
    def per_member(self) -> frozenset[str]:
        """The settings, besides the rate, that may differ between members of one population."""
        varied = getattr(self.settings, "per_member", frozenset[str])
        return varied()

    def errors(self, **settings: Any) -> Iterator[str]:
        """One sentence for each setting that cannot be used in a process of its own, where units run."""
        yield from self.settings.errors_in(settings)
        if isinstance(settings.get("env"), str):
            yield from registration_errors(settings["env"])


TRAINING: Mapping[str, Engine] = {
    "dqn": Engine("rlnorm.dqn.train", lambda run: run.total_updates, probes=True),
    "supervised": Engine("rlnorm.supervised.train", lambda run: run.total_updates, block=96, probes=True),
    # The same settings as "dqn", run by stable-baselines3, one agent after the other and never compiled.
    "sb3": Engine(
        "rlnorm.sb3.train",
        lambda _: 0,
        declares="SB3Settings",
        block=1,
        libraries=("stable-baselines3", "sb3-contrib"),
    ),
}
DQN_ENGINES = get_args(DQNEngine)
"""An arm of one of them can be run through the other."""
