"""One update of a population of agents, held against agents that learn alone and against stable-baselines3's DQN."""

from copy import deepcopy
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import cast

import gymnasium as gym
import pytest
import torch
from stable_baselines3 import DQN
from torch import Tensor

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import unpack
from rlnorm.networks import mlp, network
from rlnorm.nn import NORMS, ObservationNorm
from tests.alone import INPUTS, MLP_NORMS
from tests.dqn.learning import BATCH, agents_of, compare, transitions


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_agents_equal_agents_that_learn_alone(norm, rng):
    compare(norm, rng)


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(("clip", "optimizer"), [(None, "adam"), (0.5, "sgd"), (0.5, "rmsprop")])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_under_every_option(norm, loss, double, clip, optimizer, rng):
    compare(norm, rng, loss=loss, double=double, clip=clip, optimizer=optimizer)


@pytest.mark.parametrize(
    "changed", [{"loss": "huber"}, {"double": True}, {"clip": 0.5}, {"optimizer": "sgd"}, {"optimizer": "rmsprop"}]
)
def test_each_option_changes_the_numbers(changed, rng):
    options = {"loss": "squared", "double": False, "clip": None, "optimizer": "adam"}
    rows = [transitions(rng) for _ in range(4)]
    plain, other = agents_of("batch", **options), agents_of("batch", **{**options, **changed})
    for agents in (plain, other):
        for batch in rows:
            agents.update(batch)
    assert not torch.allclose(plain.online.flat, other.online.flat, atol=1e-4)


def test_the_update_is_stable_baselines3s(rng):
    """SB3's DQN (Huber, clip 10) on the same transitions, from the same weights, with a copy of the target between."""
    env = gym.make("CartPole-v1")
    sb3 = DQN("MlpPolicy", env, learning_rate=3e-3, gamma=0.9, policy_kwargs={"net_arch": [16, 16]}, device="cpu")
    sb3._setup_learn(1)
    agents = Agents(
        lambda: mlp(4, 2, hidden=(16, 16)),
        [0],
        [3e-3],
        unpack=partial(unpack, shape=(4,)),
        recipe=RECIPES["supervised"],
        loss="huber",
        clip=10.0,
    )
    theirs = list(sb3.q_net.parameters())
    for ours, own in zip(agents.online.member(0).parameters(), theirs, strict=True):
        own.data.copy_(ours)
    sb3.q_net_target.load_state_dict(sb3.q_net.state_dict())
    for step in range(20):
        s = torch.randn(BATCH, 8, generator=rng) * 5
        a, r = torch.randint(2, (BATCH, 1), generator=rng), torch.randn(BATCH, 1, generator=rng) * 50
        dones = (torch.rand(BATCH, 1, generator=rng) < 0.3).float()
        agents.update(torch.cat([s, a, r, 0.9 * (1 - dones)], dim=1).unsqueeze(0))
        batch = SimpleNamespace(
            observations=s[:, :4], next_observations=s[:, 4:], actions=a, rewards=r, dones=dones, discounts=None
        )
        sb3.replay_buffer = cast("None", SimpleNamespace(sample=lambda *_, batch=batch, **__: batch))
        sb3.train(1, BATCH)
        if step == 9:
            agents.update_target()
            sb3.q_net_target.load_state_dict(sb3.q_net.state_dict())
    for ours, own in zip(agents.online.member(0).parameters(), theirs, strict=True):
        torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-5)


IMAGE = (2, 5, 5)


def image_agents(norm: str) -> Agents:
    return Agents(
        lambda: network(IMAGE, 3, hidden=(8,), channels=(4,), norm=norm, sites=sites_of(norm)),
        [0, 1, 2],
        [1e-2] * 3,
        unpack=partial(unpack, shape=IMAGE),
        recipe=RECIPES["supervised"],
    )


def sites_of(norm: str) -> tuple[str, ...]:
    """Every hidden layer, or the convolution alone for a norm that cannot stand on features."""
    return ("hidden",) if norm in MLP_NORMS else ("first",)


@pytest.mark.parametrize(("norm", "image"), [*((norm, False) for norm in MLP_NORMS), *((norm, True) for norm in NORMS)])
def test_the_target_takes_all_state_to_the_bit(norm, image, rng):
    agents, shape = (image_agents(norm), IMAGE) if image else (agents_of(norm), (INPUTS,))
    x = torch.randn(3, 9, *shape, generator=rng)

    def rows() -> Tensor:
        return transitions(rng, inputs=prod(shape))

    def target() -> Tensor:
        with torch.no_grad():
            return agents.online.apply(agents.target_parameters.views, agents.target_buffers.views, x, "eval")

    for _ in range(3):
        agents.update(rows())
    before = target()
    assert not torch.equal(before, agents.online(x))
    agents.update_target()
    assert torch.equal(target(), agents.online(x))
    for own, copy in (
        (agents.online.parameters, agents.target_parameters),
        (agents.online.buffers, agents.target_buffers),
    ):
        assert own.views.keys() == copy.views.keys()
        assert all(torch.equal(view, copy.views[name]) for name, view in own.views.items())
    copied = target()
    agents.update(rows())
    assert torch.equal(target(), copied), "the target moved with the online network"


def test_norms_with_statistics_have_them_in_the_target():
    kept = {norm: set(agents_of(norm).target_buffers.views) for norm in ("batch", "batch_renorm", "spectral")}
    assert {"norm1.running_mean", "norm1.running_var", "norm2.num_batches_tracked"} <= kept["batch"]
    assert {"norm1.running_std", "norm1.running_updates"} <= kept["batch_renorm"]
    assert {"linear1.running_u", "linear2.running_v"} <= kept["spectral"]


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_the_passes_over_successors_and_for_acting_touch_no_statistic(norm, rng):
    agents = agents_of(norm, double=True)
    state = agents.online.state()[1]
    agents.greedy(torch.randn(3, 7, INPUTS, generator=rng))
    assert all(torch.equal(view, state.views[name]) for name, view in agents.online.buffers.views.items())
    rows = transitions(rng)
    alike, shifted = deepcopy(agents), deepcopy(agents)
    other = rows.clone()
    other[..., INPUTS : 2 * INPUTS] += 100
    for copy, batch in ((alike, rows), (shifted, other)):
        copy.update(batch)
    # Parameters differ, and with them spectral norm's vectors at the next pass; statistics come from s alone.
    assert all(torch.equal(view, shifted.online.buffers.views[n]) for n, view in alike.online.buffers.views.items())
    assert all(torch.equal(view, state.views[n]) for n, view in alike.target_buffers.views.items())


def test_an_update_standardizes_s_and_its_successor(rng):
    """As if they had come standardized, with the statistics of all observations; and it changes none of these."""
    plain, own = agents_of("layer"), agents_of("layer", observation_norm=lambda: ObservationNorm(INPUTS))
    assert own.observation_norm is not None
    own.observe(torch.randn(3, 50, INPUTS, generator=rng) * 3 + 2)
    rows = transitions(rng)
    s, rest = rows[..., : 2 * INPUTS].unflatten(-1, (2, INPUTS)), rows[..., 2 * INPUTS :]
    mean, var = (
        own.observation_norm.buffers.views[name].clone()[:, None, None] for name in ("running_mean", "running_var")
    )
    plain.update(torch.cat([((s - mean) / var.sqrt()).float().flatten(-2), rest], -1))
    own.update(rows)
    torch.testing.assert_close(own.online.flat, plain.online.flat, rtol=1e-3, atol=1e-5)
    assert torch.equal(own.observation_norm.buffers.views["running_mean"], mean[:, 0, 0])


@pytest.mark.parametrize("envs", [1, 5])
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_greedy_is_each_agents_best_action(norm, envs, rng):
    agents = agents_of(norm)
    agents.update(transitions(rng))
    observations = torch.randn(3, envs, INPUTS, generator=rng)
    actions = agents.greedy(observations)
    assert (actions.shape, actions.dtype) == ((3, envs), torch.int64)
    for i in range(3):
        assert torch.equal(actions[i], agents.online.member(i)(observations[i]).argmax(1))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_a_nan_marks_its_agent_and_leaves_the_others_to_the_bit(norm, double, rng):
    batches = [transitions(rng) for _ in range(6)]

    def run(poison: bool) -> tuple[list[tuple[Tensor, Tensor]], Agents]:
        agents, results = agents_of(norm, double=double, clip=10.0), []
        for step, rows in enumerate(batches):
            if step == 2 and poison:
                agents.online.parameters.views["output.bias"][1, 0] = torch.nan
            results.append(agents.update(rows))
            if step == 3:
                agents.update_target()
        return results, agents

    clean, poisoned = run(False), run(True)
    assert clean[1].diverged.tolist() == [False, False, False]
    assert poisoned[1].diverged.tolist() == [False, True, False]
    for own, other in zip(clean[0], poisoned[0], strict=True):
        for a, b in zip(own, other, strict=True):
            assert torch.equal(a[[0, 2]], b[[0, 2]])
    assert not poisoned[0][-1][0][1].isfinite()
    assert torch.equal(clean[1].online.flat[[0, 2]], poisoned[1].online.flat[[0, 2]])
    for name, view in clean[1].online.buffers.views.items():
        assert torch.equal(view[[0, 2]], poisoned[1].online.buffers.views[name][[0, 2]])


def test_a_q_beyond_the_limit_is_counted_until_it_comes_back(rng):
    agents = agents_of("none", q_limit=50.0)
    bias = agents.online.parameters.views["output.bias"]
    for change, beyond in [(0.0, 0), (-100.0, 1), (0.0, 2), (100.0, 2)]:
        bias[2, 1] += change
        agents.update(transitions(rng))
        assert agents.beyond.tolist() == [0, 0, beyond]
    assert not agents.diverged.any()


def test_a_q_that_is_not_finite_marks_its_agent_for_good_even_where_its_loss_is(rng):
    agents = agents_of("none", q_limit=50.0)
    bias, rows = agents.online.parameters.views["output.bias"], transitions(rng)
    rows[..., 2 * INPUTS] = 0  # the action whose Q is learned; that of action 1 is seen in s alone
    rows[..., -1] = 0
    for value in (torch.inf, 0.0):
        bias[2, 1] = value
        assert agents.update(rows)[0].isfinite().all()
        assert agents.diverged.tolist() == [False, False, True]
    assert agents.beyond.tolist() == [0, 0, 1]


def test_every_norm_an_mlp_can_take_is_tested():
    assert set(NORMS) - set(MLP_NORMS) == {"instance"}
