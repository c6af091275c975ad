"""Environments of one's own: where their modules are looked for, what is said of one that fails, other processes."""

import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rlnorm.dqn import Settings
from rlnorm.study.claim.engines import TRAINING
from rlnorm.tasks.environments import EnvironmentFailed, Looped, environment_errors, registration_errors, spaces

MODULE = """import gymnasium as gym
import numpy as np

class Walk(gym.Env):
    observation_space, action_space = gym.spaces.Box(-9, 9, (2,)), gym.spaces.Discrete(2)
    def reset(self, seed=None, options=None):
        return np.zeros(2, np.float32), {}
    def step(self, action):
        return np.zeros(2, np.float32), {"left": 0.0}["right"], False, False, {}

class Level(Walk):
    def __init__(self, level):
        self.level = level

class Map(Walk):
    def __init__(self):
        self.map = open("walks.txt")

class Start(Walk):
    def reset(self, seed=None, options=None):
        raise LookupError("no start")

class Silent(Walk):
    def __init__(self):
        assert not "a start"

for env in (Walk, Level, Map, Start, Silent):
    gym.register(f"{env.__name__}-v0", f"a_walk:{env.__name__}", max_episode_steps=7)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, in which the module `a_walk` lies."""
    (tmp_path / "a_walk.py").write_text(MODULE)
    (tmp_path / "broken_walk.py").write_text("import walrus_of_nobody\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    registered = set(gym.registry)
    yield tmp_path
    for name in set(gym.registry) - registered:
        del gym.registry[name]
    sys.modules.pop("a_walk", None)


@pytest.mark.parametrize(
    ("env_id", "sentences"),
    [
        ("a_walk:Walk-v0", []),
        (
            "a_walk:Level-v0",
            ["cannot be made here: TypeError: Level.__init__() missing 1 required positional argument"],
        ),
        (
            "a_walk:Map-v0",
            [
                "cannot be made here: FileNotFoundError: [Errno 2] No such file or directory: 'walks.txt' "
                "(a_walk.py, line 17)."
            ],
        ),
        ("a_walk:Start-v0", ["cannot begin an episode: LookupError: no start (a_walk.py, line 21)."]),
        ("a_walk:Silent-v0", ["cannot be made here: AssertionError (a_walk.py, line 25)."]),
        ("a_walk:Run-v0", ["cannot be made here: Environment `Run` doesn't exist."]),
        ("broken_walk:Walk-v0", ["cannot be made here: No module named 'walrus_of_nobody' (broken_walk.py, line 1)."]),
        ("no_walk:Walk-v0", ["cannot be made here: No module named 'no_walk'."]),
        ("a_walk:", ["cannot be read; expected an id such as CartPole-v1, or module:id."]),
        (":Walk-v0", ["cannot be read; expected an id such as CartPole-v1, or module:id."]),
        ("a_walk:b:Walk-v0", ["cannot be read; expected an id such as CartPole-v1, or module:id."]),
    ],
)
def test_a_module_is_found_in_this_folder_and_what_fails_there_is_one_sentence(here, env_id, sentences):
    found = list(environment_errors(env_id))
    assert len(found) == len(sentences)
    assert all(got.startswith(f"environment {env_id!r} {said}") for got, said in zip(found, sentences, strict=True)), (
        found
    )
    assert all(got.endswith(".") and "\n" not in got for got in found)


def test_the_folder_comes_last_and_only_if_the_module_is_nowhere_else(here: Path):
    (here / "gymnasium.py").write_text("raise LookupError\n")
    assert list(environment_errors("gymnasium:CartPole-v1")) == []
    assert str(here) not in sys.path
    assert list(environment_errors("a_walk:Walk-v0")) == []
    assert list(environment_errors("a_walk:Walk-v0")) == []
    assert (sys.path[-1], sys.path.count(str(here))) == (str(here), 1)


def test_another_process_finds_it_though_it_stands_elsewhere(here: Path):
    assert list(environment_errors("a_walk:Walk-v0")) == []
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(spaces, ("a_walk:Walk-v0",)) == ((2,), 2)


def test_an_error_in_an_episode_names_the_environment_and_the_place(here: Path):
    looped = Looped("a_walk:Walk-v0", 2)
    looped.reset(0)
    with pytest.raises(EnvironmentFailed) as raised:
        looped.step(np.zeros(2, dtype=np.int64))
    expected = "environment 'a_walk:Walk-v0' failed in step: KeyError: 'right' (a_walk.py, line 9)."
    assert str(raised.value) == expected
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(EnvironmentFailed, match="failed in reset: LookupError: no start"):
        Looped("a_walk:Start-v0", 1).reset(0)


@pytest.fixture
def mine() -> Iterator[str]:
    """An id that is registered in this process only."""
    gym.register("Mine-v0", "gymnasium.envs.classic_control:CartPoleEnv")
    yield "Mine-v0"
    del gym.registry["Mine-v0"]


def test_an_id_that_other_processes_do_not_know_is_refused_for_units_alone(mine: str, here: Path):
    settings: dict[str, Any] = {"seeds": [0], "rates": [1e-3], "steps": 200, "starts": 100}
    for name in (mine, f"__main__:{mine}"):
        (sentence,) = registration_errors(name)
        assert sentence.startswith("environment 'Mine-v0' is registered in this process only")
        assert "write module:Mine-v0" in sentence
    assert sentence in TRAINING["dqn"].errors(env=mine, **settings)
    assert list(Settings.errors_in({"env": mine, **settings})) == []
    list(environment_errors("a_walk:Walk-v0"))  # which registers the id here too
    for name in ("CartPole-v1", "Blackjack-v1", "MinAtar/Breakout-v1", "a_walk:Walk-v0", "Unknown-v0"):
        assert list(registration_errors(name)) == []


def test_ids_of_another_namespace_are_not_offered(mine: str):
    (sentence,) = environment_errors("ALE/Pong-v5")
    assert sentence == (
        "unknown environment 'ALE/Pong-v5': nothing that is imported registers ids that begin with 'ALE/'; expected "
        "module:ALE/Pong-v5 with the module that does (for ALE: ale_py)."
    )
    (sentence,) = environment_errors("phys2d/CartPol-v1")
    assert sentence.startswith("unknown environment 'phys2d/CartPol-v1'. Did you mean 'phys2d/CartPole-v1'?")
