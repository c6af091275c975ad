"""The whole loop: what is stored, when what is done, what is recorded, and that agents learn."""

import importlib
import json
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.dqn import dqn as sb3_dqn

import rlnorm.dqn
from rlnorm.dqn.agents import Agents
from rlnorm.dqn.replay import Replay
from rlnorm.tasks.environments import BatchedCartPole

loop = importlib.import_module("rlnorm.dqn.train")  # the package's attribute of that name is the function
Records = list[dict[str, Any]]
FAST = {
    "env": "CartPole-v1",
    "seeds": [0, 1],
    "rates": [1e-3, 1e-3],
    "steps": 400,
    "hidden": (16, 16),
    "starts": 100,
    "batch": 16,
    "buffer": 1000,
    "train_every": 10,
    "target_every": 50,
}


def start(**changes: object) -> Iterator[dict[str, Any]]:
    settings: dict[str, Any] = {**FAST, **changes}
    return rlnorm.dqn.train(**settings)


def run(**changes: object) -> Records:
    return list(start(**changes))


def rows(records: Records) -> list[str]:
    """Records as text: equal to the last digit, NaN equal to itself."""
    return [json.dumps(record) for record in records]


class Watched:
    """What a run did, in order: everything stored, and at which step it updated and copied the target."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.added: list[tuple[np.ndarray, ...]] = []
        self.updates: list[int] = []
        self.copies: list[int] = []
        self.greedy: list[np.ndarray] = []
        self.agents: Agents
        self.step = 0
        watched = self

        class WatchedReplay(Replay):
            def add(self, *args: np.ndarray, **named: np.ndarray) -> None:
                transitions = (*args, *named.values())
                watched.added.append(tuple(np.array(field) for field in transitions))
                watched.step += transitions[2].shape[1]
                super().add(*args, **named)

        class WatchedAgents(Agents):
            def __init__(self, *args: Any, **kwargs: Any):
                super().__init__(*args, **kwargs)
                watched.agents, update = self, self.update

                def watched_update(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                    watched.updates.append(watched.step)
                    return update(rows)

                self.update = watched_update

            def update_target(self) -> None:
                watched.copies.append(watched.step)
                super().update_target()

        monkeypatch.setattr(loop, "Replay", WatchedReplay)
        monkeypatch.setattr(loop, "Agents", WatchedAgents)


@pytest.fixture
def watched(monkeypatch) -> Watched:
    return Watched(monkeypatch)


# ---- records


@pytest.mark.parametrize(
    ("steps", "envs", "count"),
    [(100, 1, 100), (250, 1, 100), (199, 1, 100), (37, 1, 37), (1000, 10, 100), (250, 10, 25), (257, 10, 25)],
)
def test_there_are_100_records_or_one_a_step(steps, envs, count):
    records = run(steps=steps, envs=envs, starts=20)
    at = [record["step"] for record in records]
    assert len(at) == count
    assert at[-1] == steps // envs * envs
    gaps = np.diff([0, *at])
    assert gaps.min() > 0
    assert gaps.max() - gaps.min() <= envs


def test_a_record_has_its_keys_and_is_json():
    records = run()
    common = {"step", "return", "loss", "q", "epsilon", "diverged"}
    assert all(set(record) == common for record in records[:-1])
    assert set(records[-1]) == {*common, "final_return"}
    for record in records:
        json.dumps(record)
        assert all(len(record[key]) == 2 for key in ("return", "loss", "q", "diverged"))
        updated = record["step"] > 100 and record["step"] % 10 < 4
        assert all(math.isfinite(x) == updated for key in ("loss", "q") for x in record[key])


def test_loss_and_q_are_means_since_the_last_record(monkeypatch):
    values = iter(range(100))

    class Fixed(Agents):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.update = lambda rows: (torch.tensor([(n := float(next(values))), 2 * n]), torch.tensor([-n, 0.5]))

    monkeypatch.setattr(loop, "Agents", Fixed)
    records = run(steps=4000, train_every=20, starts=3920)  # a record every 40 steps, two updates in each
    assert [(r["loss"], r["q"]) for r in records[-2:]] == [([0.5, 1.0], [-0.5, 0.5]), ([2.5, 5.0], [-2.5, 0.5])]
    assert all(math.isnan(x) for record in records[:-2] for x in record["loss"] + record["q"])


# ---- the same unit, the same rows


@pytest.mark.parametrize(
    "settings",
    [{}, {"envs": 10, "norm": "batch", "double": True}, {"norm": "weight"}, {"norm": "spectral", "optimizer": "sgd"}],
    ids=str,
)
def test_the_same_unit_gives_the_same_rows(settings):
    torch.manual_seed(1)
    first = rows(run(**settings))
    torch.manual_seed(2)
    np.random.default_rng(3)
    assert rows(run(**settings)) == first


@pytest.mark.parametrize("changed", [{"seeds": [0, 2]}, {"rates": [1e-3, 2e-3]}, {"norm": "layer"}])
def test_another_unit_gives_other_rows(changed):
    assert rows(run()) != rows(run(**changed))


def test_a_rate_is_its_agents_own():
    """The first update comes from the same parameters; after it only the agent with another rate has another loss."""
    same, other = (run(steps=400, rates=[1e-3, rate], starts=388, epsilon=(1, 1, 1)) for rate in (1e-3, 1e-1))
    losses = [[record["loss"] for record in records if math.isfinite(record["loss"][0])] for records in (same, other)]
    assert losses[0][0] == losses[1][0]
    assert [a == b for a, b in zip(losses[0][1], losses[1][1], strict=True)] == [True, False]


def test_compiled_agrees_with_eager():
    """Until rounding has grown into another action, which it has not in so few updates."""
    settings = {"norm": "batch", "double": True, "optimizer": "sgd", "hidden": (8,), "steps": 200, "envs": 2}
    eager, compiled = run(**settings), run(**settings, compile=True)
    for own, other in zip(eager, compiled, strict=True):
        assert own.keys() == other.keys()
        for key, value in own.items():
            np.testing.assert_allclose(other[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    assert math.isfinite(eager[-1]["loss"][0])


def test_a_closed_run_does_nothing_more(watched):
    running = start()
    for _ in range(30):
        next(running)
    done = watched.step
    assert done == 120
    assert isinstance(running, Iterator)
    running.close()  # pyright: ignore[reportAttributeAccessIssue] (a generator)
    with pytest.raises(StopIteration):
        next(running)
    assert watched.step == done


# ---- evaluation


def test_training_is_the_same_whatever_evaluation_does(watched, monkeypatch):
    plain = run(norm="batch")
    with_evaluations = list[dict[str, Any]]()
    for record in start(norm="batch"):
        if record["step"] % 40 == 0:
            loop.evaluate(watched.agents, "CartPole-v1", 4, seed=record["step"], episodes=3)
        with_evaluations.append(record)
    assert rows(with_evaluations) == rows(plain)
    monkeypatch.setattr(loop, "evaluate", lambda *_: np.zeros(2))
    other = run(norm="batch")
    assert other[-1]["final_return"] == [0, 0]
    assert rows(other[:-1]) == rows(plain[:-1])


def test_evaluation_is_the_mean_of_the_first_episodes():
    """Pushing always left ends an episode within about ten steps; the same by hand, from the same starts."""
    left = SimpleNamespace(diverged=torch.zeros(3), greedy=lambda x: torch.zeros(x.shape[:2], dtype=torch.int64))
    means = loop.evaluate(left, "CartPole-v1", 4, seed=5, episodes=4)
    environments, lengths = BatchedCartPole(12), np.zeros(12)
    environments.reset(5)
    for step in range(1, 30):
        ended = environments.step(np.zeros(12, dtype=np.int64)).terminated
        lengths[ended & (lengths == 0)] = step
    np.testing.assert_array_equal(means, lengths.reshape(3, 4).mean(1))
    assert len(set(means)) > 1


def test_evaluation_goes_on_to_the_limit():
    def balance(x: torch.Tensor) -> torch.Tensor:
        assert x.shape == (2, 20, 4)
        return (x @ torch.tensor([0.1, 0.3, 3.0, 1.0]) > 0).long()

    agents = SimpleNamespace(diverged=torch.zeros(2), greedy=balance)
    assert loop.evaluate(agents, "CartPole-v1", 4, seed=0).tolist() == [500, 500]


# ---- what is stored


def short_episodes(env_id: str, count: int) -> BatchedCartPole:
    environments = BatchedCartPole(count)
    environments._env.max_episode_steps = 12
    return environments


@pytest.mark.parametrize("envs", [1, 5])
def test_termination_stops_bootstrapping_and_truncation_does_not(envs, watched, monkeypatch):
    """CartPole with a limit of 12 steps: both kinds of end come about, and are told apart by gymnasium's bounds."""
    monkeypatch.setattr(loop, "make", short_episodes)
    records = run(envs=envs, steps=500, discount=0.9, epsilon=(1.0, 1.0, 1.0))
    episode, lengths = np.zeros((2, envs), dtype=int), [list[int](), list[int]()]
    ends, before, shown = {"terminated": 0, "truncated": 0}, None, 0
    for step, (observation, successor, action, reward, discount) in enumerate(watched.added, start=1):
        assert observation.shape == successor.shape == (2, envs, 4)
        assert set(action.ravel()) <= {0, 1}
        assert (reward == 1).all()
        episode += 1
        fell = (np.abs(successor[..., 0]) > 2.4) | (np.abs(successor[..., 2]) > 12 * 2 * math.pi / 360)
        over_time = episode == 12
        np.testing.assert_allclose(discount, np.where(fell, 0, 0.9))
        ends["terminated"] += int(fell.sum())
        ends["truncated"] += int((over_time & ~fell).sum())
        if before is not None:
            successor_before, ended = before
            np.testing.assert_array_equal(observation[~ended], successor_before[~ended])
            assert (np.abs(observation[ended]) <= 0.05).all()
        for i in range(2):
            lengths[i].extend(episode[i, fell[i] | over_time[i]])
        episode[fell | over_time] = 0
        before = successor, fell | over_time
        if step * envs == records[shown]["step"]:
            expected = [float(np.mean(own)) if own else math.nan for own in lengths]
            np.testing.assert_allclose(records[shown]["return"], expected)
            lengths, shown = [list[int](), list[int]()], shown + 1
    assert shown == len(records)
    assert min(ends.values()) > 5


def test_acting_without_exploration_is_greedy(watched):
    run(epsilon=(0.0, 0.0, 1.0), starts=399, envs=4, norm="layer")
    for observation, _, action, *_ in watched.added:
        assert np.array_equal(watched.agents.greedy(torch.from_numpy(observation)).numpy(), action)


def test_exploration_tosses_a_coin_for_each_environment(watched):
    """At epsilon 0.5 a quarter of the actions are not greedy, in one environment as often whatever the others do."""
    run(epsilon=(0.5, 0.5, 1.0), starts=9_999, steps=10_000, envs=5, buffer=10_000)
    other = np.concatenate(
        [
            watched.agents.greedy(torch.from_numpy(observation)).numpy() != action
            for observation, _, action, *_ in watched.added
        ]
    )
    assert other.mean() == pytest.approx(0.25, abs=0.02)
    together = np.corrcoef(other.T)[~np.eye(5, dtype=bool)]
    assert np.abs(together).max() < 0.08


def test_full_exploration_is_uniform(watched):
    run(epsilon=(1.0, 1.0, 1.0), starts=1_999, steps=2_000)
    assert np.mean([action for _, _, action, *_ in watched.added]) == pytest.approx(0.5, abs=0.05)


# ---- when what is done


@given(
    st.integers(0, 1000), st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)
)  # fmt: skip
def test_epsilon_is_stable_baselines3s_schedule(step, steps, first, last, fraction):
    step = min(step, steps)
    theirs = LinearSchedule(first, last, fraction)(1 - step / steps)
    assert loop.epsilon_at(step, steps, (first, last, fraction)) == pytest.approx(theirs, abs=1e-9)


def test_epsilon_is_recorded_as_it_was_acted_with():
    at = {record["step"]: record["epsilon"] for record in run(epsilon=(1.0, 0.1, 0.5))}
    assert at[4] == pytest.approx(1 - 0.9 * 3 / 200)
    assert at[100] == pytest.approx(1 - 0.9 * 99 / 200)
    assert at[204] == at[400] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "counts",
    [
        {"envs": 1, "train_every": 10, "updates": 1, "starts": 100, "target_every": 50},
        {"envs": 1, "train_every": 7, "updates": 3, "starts": 33, "target_every": 13},
        {"envs": 1, "train_every": 1, "updates": 1, "starts": 0, "target_every": 1},
        {"envs": 10, "train_every": 10, "updates": 1, "starts": 100, "target_every": 50},
        {"envs": 10, "train_every": 40, "updates": 2, "starts": 95, "target_every": 35},
        {"envs": 10, "train_every": 4, "updates": 1, "starts": 15, "target_every": 3},
    ],
    ids=str,
)
def test_updates_and_copies_come_when_a_count_by_hand_says(counts, watched):
    run(steps=200, **counts)
    envs, updates, copies = counts["envs"], list[int](), list[int]()
    for end in range(envs, 201, envs):
        single = range(end - envs + 1, end + 1)
        due = [n for n in single if n % counts["train_every"] == 0 and n > counts["starts"]]
        updates += [end] * (len(due) * counts["updates"])
        copies += [end] * any(n % counts["target_every"] == 0 for n in single)
    assert watched.updates == updates
    assert watched.copies == copies


@pytest.mark.parametrize(("envs", "collections"), [(1, 10), (10, 1)])
def test_updates_and_copies_come_when_stable_baselines3s_do(envs, collections, watched, monkeypatch):
    """SB3 counts `train_freq` in calls of all environments together, and copies the target while it collects."""
    updates, copies = list[int](), list[int]()
    model = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=envs),
        train_freq=collections,
        gradient_steps=2,
        learning_starts=100,
        target_update_interval=50,
        exploration_fraction=0.5,
        device="cpu",
    )
    monkeypatch.setattr(
        model, "train", lambda gradient_steps, batch_size: updates.extend([model.num_timesteps] * gradient_steps)
    )
    # Twice in each copy: parameters, then statistics.
    monkeypatch.setattr(sb3_dqn, "polyak_update", lambda *_: copies.append(model.num_timesteps))
    model.learn(400)
    run(envs=envs, updates=2)
    assert watched.updates == updates
    assert watched.copies == copies[::2]


# ---- learning, and not


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_agents_learn_cartpole(norm):
    """A random policy gets 22."""
    records = run(
        seeds=range(4),
        rates=[3e-3] * 4,
        norm=norm,
        hidden=(32, 32),
        steps=5000,
        starts=300,
        batch=64,
        buffer=10_000,
        target_every=100,
        epsilon=(1.0, 0.05, 0.4),
        envs=5,
    )
    assert np.nanmean([record["return"] for record in records[80:]]) > 40
    assert not any(any(record["diverged"]) for record in records)


def poison_at(monkeypatch: pytest.MonkeyPatch, update: int) -> None:
    """Member 1's parameters become NaN right after its update of that number."""

    class Poisoned(Agents):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            own, count = self.update, 0

            def update_then_poison(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                nonlocal count
                count += 1
                result = own(rows)
                if count == update:
                    self.online.flat[1] = torch.nan
                return result

            self.update = update_then_poison

    monkeypatch.setattr(loop, "Agents", Poisoned)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_nan_in_one_member_marks_it_and_the_others_go_on(norm, monkeypatch):
    poison_at(monkeypatch, 10)  # of 30, at step 200
    records = run(norm=norm, seeds=[0, 1, 2], rates=[1e-3] * 3)
    assert [record["diverged"] for record in records if record["step"] < 200] == [[False] * 3] * 49
    for record in records[49:]:
        assert record["diverged"] == [False, True, False]
        if record["step"] % 10 < 4 and record["step"] > 203:
            assert [math.isfinite(loss) for loss in record["loss"]] == [True, False, True]
    assert all(math.isfinite(value) for value in records[-1]["final_return"])


def test_a_nan_after_the_last_update_is_still_seen(monkeypatch):
    poison_at(monkeypatch, 30)
    assert run()[-1]["diverged"] == [False, True]


def test_values_beyond_ten_times_what_is_possible_mark_a_run(watched):
    sound = run(discount=0.9)
    assert watched.agents.q_limit == pytest.approx(10 * 1 / (1 - 0.9))
    unsound = run(discount=0.9, rates=[1e-3, 10.0], optimizer="sgd")
    assert sound[-1]["diverged"] == [False, False]
    assert unsound[-1]["diverged"] == [False, True]
    assert unsound[-1]["loss"][0] < 100


def test_an_environment_that_is_stepped_in_a_loop(watched):
    records = run(env="Acrobot-v1", steps=300, starts=50, envs=3, hidden=(8,))
    assert watched.agents.q_limit == pytest.approx(10 * 1 / (1 - 0.99))
    assert len(records) == 100
    assert all(-500 <= value <= -1 for value in records[-1]["final_return"])
