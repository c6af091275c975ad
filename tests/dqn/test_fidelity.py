"""Our DQN against stable-baselines3's own: what is stored, what a full buffer keeps, and whole runs.

What is stored is compared on an environment that ignores actions, so that both see the same whatever they do.
`test_steps.py` holds the schedule and the steps of updates and copies against theirs, `study/test_side_by_side.py` the
update itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

from rlnorm.dqn.replay import Replay
from rlnorm.study.assess import Asked, assess, setting_errors, units
from rlnorm.study.claim import PRESETS, Effect
from rlnorm.study.discover import Found
from rlnorm.study.fidelity import CLAIM, EXACT, ITSELF, NAMES, Exactly, draw, page
from rlnorm.study.report import style
from rlnorm.study.results import ClaimResult
from rlnorm.study.side_by_side import Distance, Setting
from rlnorm.study.store import Store
from tests.dqn.watching import Watched, run

SCRIPTED = "rlnorm-tests/Scripted-v0"


class Scripted(gym.Env):
    """Episodes of 3, 4, 5, 3, ... steps that end in turn by termination, by truncation, and by both at once."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (as gymnasium declares it)
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None):
        self.episode, self.at = self.episode + 1, 0
        return self._seen(), {}

    def step(self, action: int):
        self.at += 1
        kind, ends = self.episode % 3, self.at == 3 + self.episode % 3
        return self._seen(), 0.5 * self.at, ends and kind in (0, 2), ends and kind in (1, 2), {}

    def _seen(self) -> np.ndarray:
        return np.array([self.episode, self.at], dtype=np.float32)


@pytest.fixture
def scripted() -> Iterator[str]:
    gym.register(SCRIPTED, lambda **_: Scripted())
    yield SCRIPTED
    del gym.registry[SCRIPTED]


@pytest.mark.parametrize("envs", [1, 3])
def test_what_is_stored_is_what_they_store(envs: int, scripted: str, watched: Watched):
    model = DQN("MlpPolicy", make_vec_env(scripted, envs), learning_starts=1000, device="cpu")
    theirs = model.learn(60).replay_buffer
    run(env=scripted, envs=envs, seeds=[0], rates=[1e-3], steps=60, starts=50, discount=0.9)
    assert isinstance(theirs, ReplayBuffer)
    count = 60 // envs
    alive = 0.9 * (1 - theirs.dones[:count] * (1 - theirs.timeouts[:count]))
    observation, successor, _, reward, discount = (np.concatenate(each, axis=1)[0] for each in zip(*watched.added))
    np.testing.assert_array_equal(observation, theirs.observations[:count].reshape(60, 2))
    np.testing.assert_array_equal(successor, theirs.next_observations[:count].reshape(60, 2))
    np.testing.assert_array_equal(reward, theirs.rewards[:count].ravel())
    np.testing.assert_allclose(discount, alive.ravel(), rtol=1e-6)
    assert {0.0, 0.9} == set(np.round(discount, 6))
    assert theirs.timeouts.any(), "no episode was truncated"


@pytest.mark.parametrize("envs", [1, 2])
def test_a_full_buffer_keeps_what_theirs_keeps(envs: int, rng: torch.Generator):
    capacity, steps = 10, 17
    theirs = ReplayBuffer(capacity, Scripted.observation_space, Scripted.action_space, "cpu", envs)
    ours = Replay(1, capacity, (2,))
    for step in range(steps):
        s, s_next = torch.randn(2, envs, 2, generator=rng).numpy()
        a, r, done = np.full(envs, step % 2), np.full(envs, float(step)), np.full(envs, step % 3 == 0)
        theirs.add(s, s_next, a, r, done, [{}] * envs)
        ours.add(s[None], s_next[None], a[None], r[None], 0.9 * ~done[None])
        assert ours.filled == theirs.size() * envs
    drawn = ours.unpack(ours.sample(500, rng))
    kept = set(map(float, theirs.rewards.ravel()))
    assert set(drawn.r_t[0].tolist()) == kept == set(map(float, range(steps - capacity // envs, steps)))


@pytest.mark.parametrize("name", CLAIM.parts)
def test_whole_runs_can_be_compared(name: str):
    part = CLAIM.parts[name]
    assert isinstance(part, Effect)
    assert list(setting_errors(part.experiment, part.arms, part.experiment.steps["full"])) == []
    assert {part.experiment.of(arm)[0] for arm in part.arms.values()} == {"sb3", "dqn"}
    assert len({part.experiment.steps[preset] for preset in PRESETS}) == 1
    assert (part.question.asks, part.question.margin) == ("equivalent", 0.05)


def stored(folder: Path) -> ClaimResult:
    """Two seeds an arm: CartPole's ours, sb3 at 100, planted at 20; Acrobot all alike."""
    asked, store = Asked(Found("fidelity", CLAIM, None), "full", seeds=2), Store(folder)
    for unit in units([asked], store):
        worse = 80.0 * ("planted" in unit.label)
        scores = (
            [100.0 + seed - worse for seed in unit.seeds] if "CartPole" in unit.label else [-300.0] * len(unit.seeds)
        )
        rows = [{"step": at, "return": scores, "diverged": [False] * len(scores)} for at in (1, 2)]
        store.write(unit, [rows[0], {**rows[1], "final_return": scores}], lambda: 0.0)
    return assess(asked, store)


PARTED = [Distance(100 * i, i * 1e-8, 0.5, 0.25) for i in range(1, 11)]
SAME = [Distance(100 * i, i * 1e-16, 0.5, 0.25) for i in range(1, 11)]
NONE = Setting("none", 10.0)


def exactly(in_float64: Sequence[Distance]) -> Exactly:
    return [(NONE, "ours", PARTED), (replace(NONE, dtype=torch.float64), "ours", in_float64), (NONE, "itself", PARTED)]


def test_the_page_shows_both_comparisons_and_every_run(tmp_path: Path):
    result = stored(tmp_path)
    text = page(exactly(SAME), result, "0123abc", "fidelity.svg")
    assert "| none | 10 | float32 | ours | 25% | 1.0e-08 | 5.0e-08 | 1.0e-07 | 0.50 |" in text
    assert "| none | 10 | float64 | ours | 25% | 1.0e-16 | 5.0e-16 | 1.0e-15 | 0.50 |" in text
    assert "| none | 10 | float32 | itself | 25% |" in text
    assert "| Acrobot-v1, ten environments | insufficient | +0.000 | +0.000 to +0.000 |" in text
    assert "| Acrobot-v1, CleanRL's settings | planted | 0.499 ± 0.000 | -300 ± 0 | 0 | 0.499/-300 0.499/-300 |" in text
    assert "| CartPole-v1, ten environments | sb3 | 0.190 ± 0.002 | 108 ± 1 | 0 | 0.189/108 0.192/109 |" in text
    assert "](fidelity.svg)" in text
    assert max(len(line) for line in text.splitlines() if line[:1] not in ("|", "!")) <= 120


def test_the_page_names_the_commits_that_computed_its_rows(tmp_path: Path):
    result = stored(tmp_path)
    parts = tuple(replace(part, commits=(name,)) for part, name in zip(result.parts, ("b", "a", "b", "a"), strict=True))
    text = page(exactly(SAME), replace(result, parts=parts), "0123abc", "fidelity.svg")
    assert "rows computed at commit a, b, judged at 0123abc" in " ".join(text.split())


def test_the_page_begins_with_the_verdict(tmp_path: Path):
    result, outcomes = stored(tmp_path), ("supported", "refuted", "supported", "inconclusive")
    parts = [
        replace(part, verdict=replace(part.verdict, verdict=outcome))
        for part, outcome in zip(result.parts, outcomes, strict=True)
    ]
    first, second, third, fourth = (part.name for part in parts)
    told = " ".join(page(exactly(SAME), replace(result, parts=tuple(parts)), None, "").split())
    assert (
        "**Our update computes the same as theirs but for rounding: in float64 no weight is more than 1.0e-15" in told
    )
    whole = f"equivalent within 0.05 in 2 of 4 parts ({first}; {third}), not equivalent in 1 of 4 parts ({second}), "
    assert f"Whole runs: {whole}open in 1 of 4 parts ({fourth}).**" in told
    assert "**Our update differs from theirs: " in page(exactly(PARTED), result, None, "")
    nothing = "Whole runs: equivalent within 0.05 in 0 of 4 parts, not to be told in 4 of 4 parts ("
    assert nothing in " ".join(page(exactly(SAME), result, None, "").split())


def test_the_curves_of_every_part_and_arm_are_drawn(tmp_path: Path):
    result = stored(tmp_path)
    text = draw(result)
    ElementTree.fromstring(text)
    assert [text.count(f">{part.name}<") for part in result.parts] == [1] * 4
    assert [text.count(f">{name} (n = 2)<") for name in NAMES.values()] == [1] * 3
    colours = style.colours(NAMES).values()
    # A line and its band in each of four panels, and a line in the legend.
    assert all(text.count(f"stroke: {colour}") >= 5 and text.count(f"fill: {colour}") >= 4 for colour in colours)
    assert text == draw(result)
    assert len(text) < 150_000


def test_updates_are_compared_in_both_precisions_for_every_setting():
    assert {(each.norm, each.clip, each.dtype) for each in EXACT} == {
        (norm, clip, dtype)
        for norm, clip in (("none", 10.0), ("layer", 10.0), ("layer", 1.0))
        for dtype in (torch.float32, torch.float64)
    }
    assert ITSELF in EXACT
