"""Runs that diverge because their environment gives what is no number are told from those that do so by themselves."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from rlnorm.study.plan import training_unit
from rlnorm.study.run.blame import KEYS, STEPS, sentence
from rlnorm.study.run.worker import records


@dataclass
class Walk(gym.Env[Any, Any]):
    """Episodes of ten steps; every fourth step gives `reward`, every fifth observes `seen`."""

    reward: float = 1.0
    seen: float = 0.5
    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None):
        self.steps = 0
        return np.zeros(2, dtype=np.float32), {}

    def step(self, action: int):
        self.steps += 1
        observation = np.full(2, 0.1 if self.steps % 5 else self.seen, dtype=np.float32)
        return observation, 1.0 if self.steps % 4 else self.reward, self.steps == 10, False, {}


def last_record(monkeypatch: pytest.MonkeyPatch, rate: float, **bad: float) -> dict[str, Any]:
    spec = EnvSpec("Walk-v0", entry_point=lambda **given: Walk(**given), kwargs=bad, disable_env_checker=True)
    monkeypatch.setitem(gym.registry, "Walk-v0", spec)
    settings = {"env": "Walk-v0", "starts": 8, "batch": 8, "buffer": 64, "hidden": (4,), "probes": 1}
    *_, last = records(training_unit("dqn", settings, [0, 1], [rate] * 2, 64, "walk"))
    return dict(last)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"reward": np.nan}, "rewards that are no numbers in 200"),
        ({"reward": -np.inf}, "rewards that are no numbers in 200"),
        ({"seen": np.nan}, "observations that are no numbers in 200"),
        (
            {"reward": np.nan, "seen": np.inf},
            "rewards that are no numbers in 200 and observations that are no numbers in 200",
        ),
    ],
)
def test_an_environment_that_gives_no_numbers_is_told(monkeypatch: pytest.MonkeyPatch, bad: dict, said: str):
    last = last_record(monkeypatch, 1e-3, **bad)
    assert all(last["diverged"])
    expected = f" The environment itself gave {said} of {STEPS} random steps: runs diverged by that."
    assert sentence([[{"step": 1}], [last], []]) == expected


def test_one_that_gives_numbers_is_not_blamed_and_one_of_runs_that_did_not_diverge_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch,
):
    last = last_record(monkeypatch, 1e30)
    assert any(last["diverged"])
    assert [last[key] for key in KEYS.values()] == [0, 0]
    assert sentence([[last]]) == ""
    last = last_record(monkeypatch, 1e-3)
    assert not any(last["diverged"])
    assert not set(KEYS.values()) & set(last)
    assert sentence([[last]]) == sentence([]) == ""
