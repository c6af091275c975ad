"""Actors and critics: their norms apart, ratios that start at 1, which statistics each pass of an update uses."""

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC, TD3

from rlnorm.nn import BatchNorm1d, LayerNorm, Moded
from rlnorm.sb3 import ActorCriticPolicy, SACPolicy, TD3Policy
from rlnorm.sb3.passes import passing
from tests.sb3.learning import CONTINUOUS, FLAT, FLAT_NORMS, Noise, make, same, statistics

REPLAYING = {"learning_starts": 8, "buffer_size": 64, "batch_size": 8}
BARE: list[tuple[Any, Any, dict[str, Any]]] = [
    (PPO, ActorCriticPolicy, {"n_steps": 16, "batch_size": 8}),
    (SAC, SACPolicy, REPLAYING),
    (TD3, TD3Policy, REPLAYING),
]


@pytest.mark.parametrize(("algorithm", "policy", "settings"), BARE)
def test_without_a_norm_it_learns_the_same_weights(algorithm, policy, settings):
    settings = settings | {"policy_kwargs": {"net_arch": [8, 8]}, "seed": 0, "device": "cpu"}
    ours, theirs = (algorithm(kind, Noise(FLAT, CONTINUOUS), **settings).learn(20) for kind in (policy, "MlpPolicy"))
    for mine, own in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(mine, own)


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "td3", "tqc"])
def test_actor_and_critic_have_norms_apart(algorithm):
    critic = "vf" if algorithm == "ppo" else "qf"
    policy = make(
        algorithm, policy={"norm": {"pi": "layer", critic: "batch"}, "net_arch": {"pi": [8], critic: [8, 8]}}
    ).policy
    kinds = {name: type(module) for name, module in policy.named_modules() if name.endswith(("norm1", "norm2"))}
    actors = {kind for name, kind in kinds.items() if name.startswith(("actor", "mlp_extractor.policy"))}
    critics = {kind for name, kind in kinds.items() if name.startswith(("critic", "mlp_extractor.value"))}
    assert (actors, critics) == ({LayerNorm}, {BatchNorm1d})


SPREAD = {"ortho_init": False}
"""With orthogonal initialization a policy starts out uniform, whatever reaches its last layer, and ratios are 1."""


def off_by(model) -> float:
    """Mean of (ratio - 1) - log(ratio) over the last update: 0 where every ratio is 1."""
    return model.logger.name_to_value["train/approx_kl"]


@pytest.mark.parametrize("norm", FLAT_NORMS)
def test_ratios_are_one_until_a_weight_moves(norm):
    model = make("ppo", policy=SPREAD | {"norm": norm}, learning_rate=0.0).learn(48)
    assert abs(off_by(model)) < 1e-6


def test_with_batch_statistics_they_are_not():
    model = make("ppo", policy=SPREAD | {"norm": "batch", "frozen_statistics": False}, learning_rate=0.0).learn(48)
    assert off_by(model) > 1e-4


def test_the_first_epochs_ratio_is_one_while_weights_move():
    model = make("ppo", policy=SPREAD | {"norm": "batch"}, learning_rate=0.1, batch_size=16, n_epochs=1).learn(48)
    assert abs(off_by(model)) < 1e-6


def test_frozen_statistics_move_towards_those_of_the_data():
    model = make("ppo", policy={"norm": "batch"}, learning_rate=0.0, n_steps=64, n_epochs=10).learn(64)
    layers = model.policy.mlp_extractor.policy_net
    x = torch.as_tensor(model.rollout_buffer.observations)
    with torch.no_grad():
        for number in (1, 2):
            before = layers[: 3 * number - 2](x)
            norm = layers.get_submodule(f"norm{number}")
            np.testing.assert_allclose(norm.running_mean, before.mean(0), atol=0.15)
            np.testing.assert_allclose(norm.running_var, before.var(0), rtol=0.5)


def test_orthogonal_weights_are_taken_over_by_what_wraps_them():
    policy = make("ppo", policy={"norm": "weight"}).policy
    wrapped = policy.mlp_extractor.policy_net.linear1
    torch.testing.assert_close(wrapped.effective_weight(), wrapped.layer.weight)


class TestPassesOfAnUpdate:
    X = torch.linspace(-1, 1, 32).reshape(8, 4)

    @pytest.fixture(params=["sac", "tqc", "td3"])
    def policy(self, request):
        policy = make(request.param, policy={"norm": "batch"}).policy
        policy.set_training_mode(True)
        return policy

    def judge(self, policy, shift):
        critic, actions = policy.critic, self.X[:, :1] + shift
        return critic.q1_forward(self.X, actions) if hasattr(critic, "q1_forward") else critic(self.X, actions)

    def test_an_actor_is_judged_by_a_critic_that_stays(self, policy):
        shift = torch.zeros((), requires_grad=True)
        before = statistics(policy_of(policy))
        (gradient,) = torch.autograd.grad(self.judge(policy, shift).sum(), shift)
        assert gradient.abs() > 1e-3
        assert same(before, statistics(policy_of(policy)))
        assert all(module.training for module in policy.critic.modules() if isinstance(module, Moded))

    def test_which_batch_statistics_would_not_do(self, policy):
        shift = torch.zeros((), requires_grad=True, dtype=torch.float64)
        with passing(policy.critic.double(), "batch"):
            q = policy.critic.q_networks[0](torch.cat([self.X.double(), self.X[:, :1].double() + shift], 1))
        (gradient,) = torch.autograd.grad(q.sum(), shift)
        assert gradient.abs() < 1e-9

    def test_a_critic_on_replayed_actions_uses_the_batch(self, policy):
        before = statistics(policy_of(policy))
        policy.critic(self.X, self.X[:, :1])
        assert not same(before, statistics(policy_of(policy)))

    @pytest.mark.parametrize("algorithm", ["sac", "tqc"])
    def test_the_actor_of_a_target_is_the_one_that_acts(self, algorithm):
        policy = make(algorithm, policy={"norm": "batch"}).policy
        policy.set_training_mode(True)
        before = statistics(policy_of(policy))
        with torch.no_grad():
            target = policy.actor.get_action_dist_params(self.X)[0]
        assert same(before, statistics(policy_of(policy)))
        policy.set_training_mode(False)
        assert torch.equal(target, policy.actor.get_action_dist_params(self.X)[0])


class policy_of:
    """What `statistics` takes: something with a policy."""

    def __init__(self, policy):
        self.policy = policy
