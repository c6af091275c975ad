"""Whether an agent diverged by itself, or because its environment gave what is no number.

The rows of a diverged run look alike in both cases. So where a run diverged, its environment is played with random
actions for a while, and what it gave stands in the unit's last record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from rlnorm.study.claim import Record
from rlnorm.study.claim.engines import DQN_ENGINES
from rlnorm.study.plan import Unit
from rlnorm.tasks import environments

STEPS = 1000
KEYS = {"reward": "non_finite_rewards", "observation": "non_finite_observations"}
"""What an environment gives -> the field of the last record that counts those that were not finite, of `STEPS`."""


def looked_into(unit: Unit, records: Iterable[Record]) -> Iterator[Record]:
    """The records as they come; the last one says of the environment what `KEYS` names, if a run diverged in it."""
    for record in records:
        diverged = unit.engine in DQN_ENGINES and record["step"] >= unit.steps and np.any(record["diverged"])
        if diverged and unit.settings["env"] not in environments.SCALES:
            with suppress(environments.EnvironmentFailed):
                record = {**record, **_played(unit.settings)}
        yield record


def _played(settings: Mapping[str, Any]) -> dict[str, int]:
    """Field -> in how many steps of random actions what the environment gave was not finite."""
    env, actions = settings["env"], environments.spaces(settings["env"])[1]
    playing, rng = environments.make(env, 1, settings.get("environments", "gymnasium")), np.random.default_rng(0)
    playing.reset(0)
    steps = (playing.step(rng.integers(actions, size=1)) for _ in range(STEPS))
    bad = [(not np.isfinite(step.reward).all(), not np.isfinite(step.successor).all()) for step in steps]
    return dict(zip(KEYS.values(), np.sum(bad, 0).tolist()))


def sentence(runs: Iterable[Sequence[Record]]) -> str:
    """What is said of the environment of these runs, with a space before it; nothing where it gave numbers alone."""
    last = [rows[-1] for rows in runs if rows]
    found = {what: max((record.get(key, 0) for record in last), default=0) for what, key in KEYS.items()}
    told = [f"{what}s that are no numbers in {count}" for what, count in found.items() if count]
    said = f" The environment itself gave {' and '.join(told)} of {STEPS} random steps: runs diverged by that."
    return said if told else ""
