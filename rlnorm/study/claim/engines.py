"""The engines that an experiment may name: how they train, what their settings are, what can be wrong with them.

They stand in this room because a declaration is checked against its engine before anything is planned.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import rlnorm.dqn
import rlnorm.sb3.train
import rlnorm.supervised
from rlnorm.study.claim.declare import DQNEngine

Record = Mapping[str, object]


@dataclass(frozen=True)
class Engine:
    """How to train, what can be wrong with the settings, and what the settings are.

    module     where the code that decides the rows begins: its imports are followed
    compiled   how many updates a budget of steps comes to, if they can be compiled: it pays from some number on
    signature  the settings by name with their defaults, and `seeds`, `rates`, `steps`
    block      judged seeds trained as one population
    libraries  whose versions decide the rows too, beside those that decide all rows
    probes     whether its records hold probes
    """

    module: str
    train: Callable[..., Iterator[Record]]
    errors: Callable[..., Iterator[str]]
    compiled: Callable[[int, Mapping[str, Any]], float]
    signature: inspect.Signature
    block: int = 16
    libraries: tuple[str, ...] = ()
    probes: bool = False


# Where agents are saved decides no row.
_DQN = inspect.signature(rlnorm.dqn.train)
_DQN = _DQN.replace(parameters=[each for each in _DQN.parameters.values() if each.name != "save"])
_ALGORITHM = inspect.Parameter("algorithm", inspect.Parameter.KEYWORD_ONLY, default="dqn")

TRAINING: Mapping[str, Engine] = {
    "dqn": Engine(
        "rlnorm.dqn.train",
        rlnorm.dqn.train,
        rlnorm.dqn.errors,
        lambda steps, settings: (steps - settings["starts"]) / settings["train_every"] * settings["updates"],
        _DQN,
        probes=True,
    ),
    "supervised": Engine(
        "rlnorm.supervised.train",
        rlnorm.supervised.train,
        rlnorm.supervised.errors,
        lambda steps, _: steps,
        inspect.signature(rlnorm.supervised.train),
    ),
    # The same settings as "dqn", run by stable-baselines3, one agent after the other and never compiled.
    "sb3": Engine(
        "rlnorm.sb3.train",
        rlnorm.sb3.train.train,
        lambda **settings: chain(rlnorm.dqn.errors(**settings), rlnorm.sb3.train.errors(**settings)),
        lambda *_: 0,
        _DQN.replace(parameters=[*_DQN.parameters.values(), _ALGORITHM]),
        block=1,
        libraries=("stable-baselines3", "sb3-contrib"),
    ),
}
DQN_ENGINES = get_args(DQNEngine)
"""An arm of one of them can be run through the other."""
