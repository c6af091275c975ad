import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from rlnorm.errors import ConfigError
from rlnorm.nn import get_norm
from rlnorm.study.claim import Claim, Effect, comparison
from rlnorm.study.claim.dqn_setting import DQN_STUDY
from rlnorm.study.plan.request import compared

NORM = """
from torch import nn
from rlnorm.nn import Norm

class Half(nn.Module):
    def __init__(self, width):
        super().__init__()
    def forward(self, x):
        return x / 2

NORM = Norm("mynorm", modules={0: Half})
"""


def effects_of(claim: Claim) -> list[Effect]:
    return [part for part in claim.parts.values() if isinstance(part, Effect)]


def effects(env: str = "CartPole-v1", norms: tuple[str, ...] = ("none", "layer", "batch")) -> dict[str, Effect]:
    parts = comparison.compare(env, norms, 16, 5_000).claim.parts
    return {name: part for name, part in parts.items() if isinstance(part, Effect)}


class TestCompare:
    def test_every_norm_is_held_against_the_first(self):
        parts = effects()
        assert list(parts) == ["layer against none", "batch against none"]
        part = parts["batch against none"]
        assert (part.question.asks, part.question.treatment, part.question.reference) == ("superior", "batch", "none")
        assert part.arms == {"none": {"norm": "none"}, "batch": {"norm": "batch"}}

    def test_the_setting_is_that_of_the_studies(self):
        (first, _) = effects().values()
        assert first.experiment.settings == {"env": "CartPole-v1", **DQN_STUDY}
        assert first.experiment.steps == {"smoke": 5_000, "quick": 5_000, "full": 200_000}

    def test_the_margin_needs_the_environments_constants(self):
        part = effects()["layer against none"]
        assert (part.metric, part.question.margin) == ("return_auc", 0.05)

    def test_without_constants_returns_are_judged_as_they_are(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(comparison, "SCALES", {})
        part = effects()["layer against none"]
        assert (part.metric, part.question.margin) == ("plain_return_auc", 0)

    def test_can_be_asked_again(self):
        one = compared("CartPole-v1", ["none", "layer"], 3, 2_000, 0.01)
        assert one.arguments is not None
        again = compared(**json.loads(json.dumps(one.arguments)))
        assert (again.id, again.seeds, again.claim) == (one.id, one.seeds, one.claim)
        assert one.id == "train-cartpole-v1-none-layer"
        expected = "rlnorm train --env CartPole-v1 --norms none,layer --seeds 3 --steps 2000 --lr 0.01"
        assert one.command == expected

    @pytest.mark.parametrize(
        ("env", "steps", "preset"),
        [
            ("CartPole-v1", 3_000, "smoke"),
            ("CartPole-v1", 100_000, "quick"),
            ("CartPole-v1", 200_000, "full"),
            ("Acrobot-v1", 50_000, "full"),
            ("MountainCar-v0", 50_000, "quick"),
            ("MountainCar-v0", 100_000, "full"),
        ],
    )
    def test_only_a_full_budget_gives_a_verdict(self, env: str, steps: int, preset: str):
        one = compared(env, ["none", "layer"], 8, steps)
        (part,) = one.chosen().values()
        assert isinstance(part, Effect)
        assert (one.preset, one.reaches(part), one.overall_preset) == (preset, preset, preset)
        assert part.experiment.steps[one.preset] == steps

    def test_takes_any_setting_of_the_engine(self):
        options = {"discount": 0.98, "hidden": (32, 32)}
        one = compared("CartPole-v1", ["none", "layer"], 8, 2_000, options=options)
        assert one.arguments is not None
        again = compared(**json.loads(json.dumps(one.arguments)))
        assert (again.id, again.claim) == (one.id, one.claim)
        assert one.id == "train-cartpole-v1-none-layer-discount-0-98-hidden-32-32"
        assert one.command.endswith("--steps 2000 --option discount=0.98 --option 'hidden=[32, 32]'")
        (part,) = effects_of(one.claim)
        assert part.experiment.settings["discount"] == 0.98
        with pytest.raises(ConfigError) as caught:
            compared("CartPole-v1", ["none", "layer"], 8, 2_000, options={"discont": 1, "norm": "x", "compile": True})
        assert len(caught.value.sentences) == 3
        assert "Did you mean 'discount'?" in str(caught.value)

    def test_no_norm_is_the_norm_none(self):
        assert compared("CartPole-v1", [None, "layer"], 8, 2_000) == compared(
            "CartPole-v1", ["none", "layer"], 8, 2_000
        )

    def test_all_errors_are_raised_at_once(self):
        with pytest.raises(ConfigError) as caught:
            comparison.compare("Pendulum-v1", ["none", "lyer"], 0, -1, float("nan"))
        text = str(caught.value)
        for said in ("--seeds", "--steps", "finite set of actions", "unknown norm 'lyer'", "learning rates"):
            assert said in text

    @pytest.mark.parametrize("norms", [[], ["none"], ["none", "none"]])
    def test_two_different_norms_are_needed(self, norms: list[str]):
        with pytest.raises(ConfigError, match="at least two different norms"):
            comparison.compare("CartPole-v1", norms, 8, 5_000)


class Broken(gym.Env):
    """Observations or rewards that are no numbers, or an error, in the third step."""

    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def __init__(self, observation: float = 0.0, reward: float = 0.0):
        self.given, self.count = (observation, reward), 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.count += 1
        observation, reward = self.given if self.count == 3 else (0.0, 0.0)
        return np.full(2, observation, np.float32), reward / 1.0, False, False, {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"observation": float("nan")}, ["gives observation [nan, nan] at step 3 of random actions"]),
        ({"reward": float("inf")}, ["gives reward [inf] at step 3 of random actions"]),
        ({"reward": "of another type"}, []),  # it fails, which is for those who train to say
        ({}, []),
    ],
    ids=str,
)
def test_an_environment_of_no_numbers_is_told(given: dict[str, float], said: list[str]):
    gym.register("Broken-v0", entry_point=lambda **more: Broken(**more), kwargs=given)
    try:
        found = list(comparison.rehearsal_errors("Broken-v0"))
    finally:
        del gym.registry["Broken-v0"]
    assert len(found) == len(said)
    assert all(piece in sentence for piece, sentence in zip(said, found))


class TestANormOfOnesOwn:
    def test_is_known_by_its_files_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "mynorm.py").write_text(NORM)
        monkeypatch.chdir(tmp_path)
        one = compared("CartPole-v1", ["none", "./mynorm.py"], 2, 2_000)
        part = one.claim.parts["mynorm against none"]
        assert isinstance(part, Effect)
        assert part.arms["mynorm"]["norm"] == str(tmp_path / "mynorm.py")
        assert get_norm(str(part.arms["mynorm"]["norm"])).name == "mynorm"
        monkeypatch.chdir("/")
        assert one.arguments is not None
        assert compared(**one.arguments).claim == one.claim

    def test_may_not_be_mistaken_for_another(self, tmp_path: Path):
        (tmp_path / "layer.py").write_text(NORM)
        with pytest.raises(ConfigError, match="two different norms"):
            comparison.compare("CartPole-v1", ["layer", str(tmp_path / "layer.py")], 2, 2_000)
