"""The steps of the loop: what is stored, how it is acted, and when updates and copies come."""

import math

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.dqn import dqn as sb3_dqn

from rlnorm.dqn.agents import Agents
from rlnorm.tasks.environments import BatchedCartPole
from tests.dqn.watching import loop, run


def short_episodes(env_id: str, count: int, backend: str) -> BatchedCartPole:
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


@pytest.mark.parametrize("envs", [1, 4])
def test_the_replay_takes_in_what_collect_allows_and_learning_goes_on(envs, watched):
    records = run(collect=150, envs=envs, steps=400, starts=100)
    assert len(watched.added) == 150 // envs
    assert len(watched.updates) == 30
    assert records[-1]["step"] == 400


def test_acting_without_exploration_is_greedy(watched):
    run(epsilon=(0.0, 0.0, 1.0), starts=399, envs=4, norm="layer")
    for observation, _, action, *_ in watched.added:
        assert np.array_equal(watched.agents.greedy(torch.from_numpy(observation)).numpy(), action)


def test_exploration_tosses_a_coin_for_each_environment(watched):
    """At epsilon 0.5 a quarter of the actions are not greedy, in one environment as often whatever the others do."""
    run(epsilon=(0.5, 0.5, 1.0), starts=4_999, steps=5_000, envs=5, buffer=10_000)
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
        copies += [end] * sum(n % counts["target_every"] == 0 for n in single)
    assert watched.updates == updates
    assert watched.copies == copies


@pytest.mark.parametrize(
    ("envs", "collections", "recipe"), [(1, 10, "supervised"), (10, 1, "supervised"), (1, 10, "sb3"), (3, 10, "sb3")]
)
def test_updates_and_copies_come_when_stable_baselines3s_do(envs, collections, recipe, watched, monkeypatch):
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
    run(envs=envs, updates=2, train_every=envs * collections, recipe=recipe)
    assert watched.updates == [step for step in updates if step <= 400]
    assert watched.copies == [step for step in copies[::2] if step <= 400]


@pytest.mark.parametrize(("recipe", "order"), [("supervised", ["update", "copy"]), ("sb3", ["copy", "update"])])
def test_a_copy_due_with_an_update_comes_after_it_or_as_in_stable_baselines3_before(recipe, order, watched):
    run(recipe=recipe, train_every=50, target_every=50, starts=49, steps=100)
    assert watched.order == order * 2


def test_as_in_stable_baselines3_one_coin_is_tossed_for_all_environments(watched):
    """Random together half of the time: of any two environments' actions, non-greedy ones correlate by a third."""
    run(recipe="sb3", epsilon=(0.5, 0.5, 1.0), starts=0, train_every=5_000, steps=5_000, envs=5, buffer=10_000)
    other = np.concatenate([watched.agents.greedy(torch.from_numpy(s)).numpy() != a for s, _, a, *_ in watched.added])
    assert other.mean() == pytest.approx(0.25, abs=0.02)
    assert np.corrcoef(other.T)[~np.eye(5, dtype=bool)] == pytest.approx(1 / 3, abs=0.08)


@pytest.mark.parametrize(("recipe", "random"), [("supervised", False), ("sb3", True)])
def test_as_in_stable_baselines3_actions_are_random_until_learning_starts(recipe, random, watched):
    run(recipe=recipe, epsilon=(0.0, 0.0, 1.0), starts=200, train_every=400, envs=4)
    greedy = [(watched.agents.greedy(torch.from_numpy(s)).numpy() == a).all() for s, _, a, *_ in watched.added]
    assert all(greedy[50:])
    assert all(greedy[:50]) != random


@pytest.mark.parametrize("envs", [1, 10])
def test_the_target_comes_nearer_with_steps_not_with_calls(envs, watched):
    """Copies are as many whether environments step one by one or ten at once."""
    run(envs=envs, target_every=1, tau=0.01, starts=0, train_every=400)
    assert len(watched.copies) == 400


@pytest.mark.parametrize(("modes", "passes"), [({"acting": "track"}, 100), ({"acting": "train"}, 100), ({}, 0)])
def test_acting_that_feeds_statistics_misses_no_step_whatever_coins_say(modes, passes, watched, monkeypatch):
    """Otherwise what an agent's statistics hold would hang on whether another agent of the block acts greedily."""
    acted = list[int]()
    act = Agents._act
    monkeypatch.setattr(Agents, "_act", lambda self, x: acted.append(watched.step) or act(self, x))
    run(modes=modes, epsilon=(1.0, 1.0, 1.0), norm="batch", envs=4)
    assert len(acted) == passes


def test_without_a_target_network_nothing_is_copied(watched):
    run(target_every=None)
    assert watched.copies == []
    assert watched.agents.target_parameters is watched.agents.online.parameters


def test_rewards_are_scaled_for_learning_and_raw_in_records(watched):
    settings = {"discount": 0.9, "epsilon": (1.0, 1.0, 1.0)}
    plain, scaled = run(**settings), run(**settings, reward_scale=0.5)
    assert {float(value) for *_, reward, _ in watched.added[400:] for value in reward.ravel()} == {0.5}
    for own, other in zip(plain[:-1], scaled[:-1], strict=True):
        np.testing.assert_array_equal(own["return"], other["return"])
    assert watched.agents.q_limit == pytest.approx(10 * 0.5 / (1 - 0.9))


def test_observations_are_standardized_by_all_that_were_acted_on(watched):
    """By those of training alone: the statistics are those of what was stored, though an evaluation came last."""
    run(normalize_observations=True, envs=3, steps=600)
    met = np.concatenate([observation for observation, *_ in watched.added], axis=1)
    assert watched.agents.observation_norm is not None
    own = watched.agents.observation_norm.buffers.views
    np.testing.assert_allclose(own["running_mean"], met.mean(1), atol=1e-4)
    np.testing.assert_allclose(own["running_var"], met.var(1), rtol=1e-3, atol=1e-4)
    assert own["running_count"].flatten().tolist() == pytest.approx([600, 600])
    x = torch.from_numpy(met[:, :50])
    standard = (x - own["running_mean"].unsqueeze(1)) / own["running_var"].unsqueeze(1).sqrt()
    expected = watched.agents.online(standard.clamp(-10, 10).float()).argmax(-1)
    assert torch.equal(watched.agents.greedy(x), expected)
