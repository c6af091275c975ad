"""A whole run of stable-baselines3's DQN and one of ours, on the same random numbers: nothing else may differ.

stable-baselines3 learns first, and what it drew is written down: the coin and the random action of every step, the rows
of every batch. Ours then draws the same, in an environment of its own with the same seed. What is not drawn has to come
out the same: epsilon, greedy actions, ends by time and by falling, what a full buffer keeps, when updates and copies
come, and the weights. As long as they do, one loop is the other.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env

from rlnorm.networks import mlp
from rlnorm.population import Population
from rlnorm.sb3 import DQNPolicy
from rlnorm.sb3.train import _Watch
from rlnorm.tasks.environments import Looped
from tests.dqn.watching import Watched, loop, run

SHORT = "rlnorm-tests/ShortCartPole-v0"
STEPS, RATE, CLIP = 2_400, 2e-3, 10.0
SETTINGS: dict[str, Any] = {"batch": 32, "buffer": 600, "starts": 200, "train_every": 8, "target_every": 80}
EPSILON = (1.0, 0.1, 0.5)


@pytest.fixture
def short() -> Iterator[str]:
    """CartPole with a limit of 15 steps: some episodes end by time, some by falling."""
    gym.register(SHORT, "gymnasium.envs.classic_control.cartpole:CartPoleEnv", max_episode_steps=15)
    yield SHORT
    del gym.registry[SHORT]


class Theirs:
    """A run of stable-baselines3, the random numbers it drew, and all that it stored."""

    def __init__(self, env: str, envs: int, norm: str):
        self.coins, self.actions, self.stored, self.drawn = (list[Any]() for _ in range(4))
        self.over_time = self.fell = 0
        self.model = DQN(
            DQNPolicy,
            make_vec_env(env, envs, seed=0, env_kwargs={"render_mode": None}),
            learning_rate=RATE,
            buffer_size=SETTINGS["buffer"],
            learning_starts=SETTINGS["starts"],
            batch_size=SETTINGS["batch"],
            train_freq=SETTINGS["train_every"] // envs,
            target_update_interval=SETTINGS["target_every"],
            exploration_initial_eps=EPSILON[0],
            exploration_final_eps=EPSILON[1],
            exploration_fraction=EPSILON[2],
            max_grad_norm=CLIP,
            policy_kwargs={"net_arch": [16, 16], "norm": norm},
            seed=0,
            device="cpu",
        )
        first = Population(lambda: mlp(4, 2, hidden=(16, 16), norm=norm), [0]).member(0)
        with torch.no_grad():
            for own, start in zip(self.model.q_net.q_net.parameters(), first.parameters(), strict=True):
                own.copy_(start)
        self.model.q_net_target.load_state_dict(self.model.q_net.state_dict())
        self._listen()
        watch = _Watch(STEPS, q_limit=float("inf"))
        self.model.learn(STEPS, callback=watch, log_interval=STEPS)
        self.records = watch.records

    def _listen(self) -> None:
        buffer, act = self.model.replay_buffer, self.model._sample_action
        assert buffer is not None
        store, gather = buffer.add, buffer._get_samples

        def peeked(draw: Any) -> Any:
            """What numpy's global stream gives next, left in it."""
            state = np.random.get_state()  # noqa: NPY002 (the stream that stable-baselines3 draws from)
            found = draw()
            np.random.set_state(state)  # noqa: NPY002
            return found

        def sample_action(*args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
            self.coins.append(peeked(np.random.rand))
            random = self.model.num_timesteps < SETTINGS["starts"] or self.coins[-1] < self.model.exploration_rate
            action, kept = act(*args, **kwargs)
            # Where theirs is greedy, ours is offered the other action for a random one: it must not take it.
            self.actions.append(action.copy() if random else 1 - action)
            return action, kept

        def add(obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: Any) -> None:
            over_time = np.array([info.get("TimeLimit.truncated", False) for info in infos])
            self.over_time += int(over_time.sum())
            self.fell += int((done & ~over_time).sum())
            discount = self.model.gamma * (1 - done * (1 - over_time))
            fields = obs, next_obs, action.ravel(), reward, discount
            self.stored.append(tuple(np.array(field) for field in fields))
            store(obs, next_obs, action, reward, done, infos)

        def get_samples(batch: np.ndarray, env: Any = None) -> Any:
            envs = buffer.n_envs
            rows = peeked(lambda: np.random.randint(0, high=envs, size=(len(batch),)))  # noqa: NPY002
            self.drawn.append(batch * envs + rows)
            return gather(batch, env)

        self.model._sample_action, buffer.add, buffer._get_samples = sample_action, add, get_samples  # pyright: ignore


class Ours:
    """A run of ours on the random numbers that theirs drew."""

    def __init__(self, theirs: Theirs, env: str, envs: int, norm: str, monkeypatch: pytest.MonkeyPatch, **changes: Any):
        self.left = iter(theirs.drawn)
        batches = self.left

        class Told(loop.Replay):
            def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
                rows = next(batches)
                assert len(rows) == count
                return self._flat.index_select(0, torch.from_numpy(rows)).unsqueeze(0)

        class Seeded(Looped):
            def __init__(self, env_id: str, count: int, backend: str):
                super().__init__(env_id, count)

            def reset(self, seed: int) -> np.ndarray:
                return super().reset(0)

        def draws(*_: Any, **__: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for action, coin in zip(theirs.actions, theirs.coins, strict=True):
                yield action[None].copy(), np.array([[coin]])

        monkeypatch.setattr(loop, "Replay", Told)
        monkeypatch.setattr(loop, "make", Seeded)
        monkeypatch.setattr("rlnorm.dqn.collecting.draws", draws)
        monkeypatch.setattr(loop, "evaluate", lambda *_, **__: np.zeros(1))
        alike = {"recipe": "sb3", "loss": "huber", "clip": CLIP, "epsilon": EPSILON, "hidden": (16, 16), "norm": norm}
        own = {"env": env, "seeds": [0], "rates": [RATE], "steps": STEPS, "envs": envs, "probes": 0}
        self.records = run(**{**SETTINGS, **alike, **own, **changes})


def assert_same(theirs: Theirs, ours: Ours, watched: Watched) -> None:
    """Every transition and update, the records that scores are made of and, at the end, the weights."""
    for step, (own, their) in enumerate(zip(watched.added, theirs.stored, strict=True)):
        for name, mine, other in zip(("s", "s'", "action", "reward", "discount"), own, their, strict=True):
            np.testing.assert_allclose(mine[0], other, rtol=1e-6, err_msg=f"{name} at step {step}")
    assert next(ours.left, None) is None
    assert len(watched.updates) == theirs.model._n_updates
    for mine, other in zip(ours.records, theirs.records, strict=True):
        for name, value in other.items():
            np.testing.assert_allclose(np.ravel(mine[name]), value, rtol=1e-3, err_msg=f"{name} at {other['step']}")
    agents = watched.agents
    for network, rows in (
        (theirs.model.q_net, agents.online.parameters),
        (theirs.model.q_net_target, agents.target_parameters),
    ):
        for mine, other in zip(rows.views.values(), network.q_net.parameters(), strict=True):
            torch.testing.assert_close(mine[0], other.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("envs", "norm"), [(1, "none"), (4, "none"), (1, "layer")])
def test_on_the_same_random_numbers_a_run_is_the_same(envs: int, norm: str, short, watched: Watched, monkeypatch):
    theirs = Theirs(short, envs, norm)
    assert_same(theirs, Ours(theirs, short, envs, norm, monkeypatch), watched)
    assert min(theirs.over_time, theirs.fell) > 20


CHANGES: list[dict[str, Any]] = [
    {"recipe": "supervised"},
    {"target_every": 88},
    {"epsilon": (1.0, 0.1, 0.6)},
    {"epsilon": (1.0, 0.08, 0.5)},
    {"starts": 210},
    {"buffer": 604},
    {"discount": 0.98},
    {"clip": 5.0},
    {"loss": "squared"},
    {"rates": [1.9e-3]},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_and_any_difference_is_seen(change: dict[str, Any], short, watched: Watched, monkeypatch):
    theirs = Theirs(short, 4, "none")
    with pytest.raises((AssertionError, StopIteration, IndexError)):
        assert_same(theirs, Ours(theirs, short, 4, "none", monkeypatch, **change), watched)
