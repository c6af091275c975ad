from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rlnorm.dqn
from rlnorm.dqn.images import ImageReplay
from rlnorm.errors import ConfigError
from tests.dqn.watching import loop, rows

SHAPE = (2, 1, 2)
Transition = tuple[np.ndarray, ...]


class Stream:
    """Steps of N x E environments that end at random; frames are few, so that some look alike by chance."""

    def __init__(self, members: int, envs: int, dtype: type, ends: float, rng: np.random.Generator):
        self.count, self.dtype, self.ends, self.rng = (members, envs), dtype, ends, rng
        self.observation = self.frames()

    def frames(self) -> np.ndarray:
        return self.rng.integers(2, size=(*self.count, *SHAPE)).astype(self.dtype)

    def step(self) -> Transition:
        """What a replay is given."""
        observation, successor, ended = self.observation, self.frames(), self.rng.random(self.count) < self.ends
        self.observation = np.where(ended[..., None, None, None], self.frames(), successor)
        action, reward = self.rng.integers(5, size=self.count), self.rng.normal(size=self.count)
        terminated = ended & (self.rng.random(self.count) < 0.5)
        return observation, successor, action, reward, 0.99 * ~terminated


def run(stream: Stream, capacity: int, steps: int) -> tuple[ImageReplay, list[deque[Transition]]]:
    """A replay fed by the stream, and for each member the list it should be, oldest first."""
    members, envs = stream.count
    replay = ImageReplay(members, capacity, SHAPE, np.dtype(stream.dtype), envs)
    model = [deque[Transition](maxlen=capacity) for _ in range(members)]
    for _ in range(steps):
        added = stream.step()
        replay.add(*added)
        for i, own in enumerate(model):
            own.extend(tuple(field[i, e] for field in added) for e in range(envs))
    return replay, model


def assert_holds(replay: ImageReplay, model: list[deque[Transition]]) -> None:
    """Every transition, in the order in which it came."""
    filled = len(model[0])
    assert replay.filled == filled
    ages = torch.arange(filled - 1, -1, -1).expand(len(model), -1)
    batch = replay.unpack(replay.at(ages))
    for i, own in enumerate(model):
        for got, expected in zip(batch, zip(*own, strict=True), strict=True):
            np.testing.assert_array_equal(got[i].numpy(), np.stack(expected).astype(got.numpy().dtype))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 999),
    members=st.integers(1, 3),
    envs=st.integers(1, 4),
    spare=st.integers(0, 15),
    steps=st.integers(1, 30),
    ends=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    dtype=st.sampled_from([np.bool_, np.uint8, np.float32]),
)
def test_every_transition_is_the_one_that_went_in(seed, members, envs, spare, steps, ends, dtype):
    """Over many rounds of the ring, with episodes that end anywhere, also across its seam."""
    stream = Stream(members, envs, dtype, ends, np.random.default_rng(seed))
    assert_holds(*run(stream, envs + spare, steps))


@pytest.mark.parametrize("what", ["frames", "rows", "last", "table"])
def test_the_comparison_notices_what_is_lost(what):
    replay, model = run(Stream(2, 2, np.uint8, 0.3, np.random.default_rng(0)), 10, 20)
    getattr(replay, what)[:] = 7 if what != "last" else -1
    with pytest.raises(AssertionError):
        assert_holds(replay, model)


def test_last_frames_make_room_for_others():
    """However long it runs, the table holds no more than the ring's last frames, in the next power of two."""
    replay, model = run(Stream(2, 2, np.uint8, 1.0, np.random.default_rng(0)), 10, 500)
    assert len(replay.table) == 32
    assert_holds(replay, model)
    replay, _ = run(Stream(2, 2, np.uint8, 0.0, np.random.default_rng(0)), 10, 500)
    assert len(replay.table) == 1


@pytest.mark.parametrize("filled", [1, 7, 20, 33])
def test_a_sample_comes_from_ones_own_transitions(filled, rng):
    replay, frames = ImageReplay(3, 20, SHAPE, np.dtype(np.uint8), 1), np.zeros((3, 1, *SHAPE), dtype=np.uint8)
    for n in range(1, filled + 1):
        reward = np.array([[1000.0 * i + n] for i in range(3)])
        replay.add(frames + n, frames + n + 1, np.zeros((3, 1)), reward, reward)
    batch = replay.unpack(replay.sample(2000, rng))
    for i in range(3):
        assert set(batch.r_t[i].tolist()) == {1000.0 * i + n for n in range(max(1, filled - 19), filled + 1)}
    assert torch.equal(batch.s_tm1[..., 0, 0, 0].float(), batch.r_t % 1000)
    assert torch.equal(batch.s_t[..., 0, 0, 0].float(), batch.r_t % 1000 + 1)


def test_a_sample_is_the_generators():
    replay, _ = run(Stream(2, 1, np.uint8, 0.1, np.random.default_rng(0)), 20, 30)
    draws = [replay.sample(50, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)]
    same = [all(torch.equal(a, b) for a, b in zip(draws[0], other, strict=True)) for other in draws[1:]]
    assert same == [True, False]


def test_memory_is_what_the_docstring_says():
    """All of it, for 10^5 transitions of Breakout with an end in ten steps, in MB per agent."""
    replay = ImageReplay(1, 100, (4, 10, 10), np.dtype(bool), 1)
    per_step = sum(array.nbytes for array in (replay.frames, replay.rows, replay.last)) / replay.frames.shape[1]
    assert per_step == 420
    replay.table = np.zeros((2**14, 4, 10, 10), dtype=bool)
    assert replay.table.nbytes / 1e6 == pytest.approx(6.6, abs=0.1)


class Lights(gym.Env[np.ndarray, np.int64]):
    """One of two lamps is lit; the action that names it is rewarded. Six steps, the last of which terminates."""

    observation_space = gym.spaces.Box(0, 255, (4, 5, 2), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def _seen(self) -> np.ndarray:
        space = self.observation_space
        assert isinstance(space, gym.spaces.Box)
        image = np.zeros_like(space.low)
        self.lit = int(self.np_random.integers(2))
        image[1 + self.lit, 2, self.lit] = space.high.max()
        return image

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: np.int64):
        reward, self.steps = float(action == self.lit), self.steps + 1
        return self._seen(), reward, self.steps == 6, False, {}


def learn(env: str, **changes: object) -> list[dict[str, Any]]:
    settings: dict[str, Any] = {
        "env": env,
        "seeds": [0, 1],
        "rates": [1e-2, 1e-2],
        "steps": 400,
        "channels": (8,),
        "hidden": (16,),
        "starts": 100,
        "batch": 16,
        "buffer": 300,
        "train_every": 3,
        "discount": 0.5,
        **changes,
    }
    return list(rlnorm.dqn.train(**settings))


@pytest.mark.parametrize(
    "settings",
    [{"norm": "batch", "sites": ("input", "hidden")}, {"norm": "layer", "envs": 3}],
    ids=str,
)
def test_a_game_of_images_is_learnt(lights, settings):
    records = learn(lights, **settings)
    assert min(records[-1]["final_return"]) > 5.5
    assert not any(records[-1]["diverged"])
    assert rows(learn(lights, **settings)[:3]) == rows(records[:3])


def test_images_go_through_the_replay_as_they_are(lights, monkeypatch):
    kept = list[ImageReplay]()

    class Watched(ImageReplay):
        def __init__(self, *args: Any):
            super().__init__(*args)
            kept.append(self)

    monkeypatch.setattr(loop, "ImageReplay", Watched)
    learn(lights, steps=200)
    (replay,) = kept
    assert replay.frames.shape == (2, 301, 2, 4, 5)
    assert replay.frames.dtype == np.uint8
    s_tm1, s_t, _ = replay.at(torch.arange(150).expand(2, -1))
    assert (s_tm1.sum((-1, -2, -3)) == 255).all()
    assert (s_t.sum((-1, -2, -3)) == 255).all()


def test_what_images_cannot_have_is_said_before_anything_runs(lights):
    with pytest.raises(ConfigError) as raised:
        learn(lights, norm="instance", channels=(4, 4, 4), batch=1)
    (error,) = raised.value.sentences
    assert error.startswith("3 convolutions with a window of 3 x 3 need images of at least 7 x 7 pixels, got 4 x 5")
    with pytest.raises(ConfigError, match="norm 'instance' has no form for 0 spatial dimensions"):
        learn(lights, norm="instance")
