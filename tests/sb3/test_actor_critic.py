"""Actors and critics: their norms apart, ratios that start at 1, which statistics each pass of an update uses."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlnorm.nn import BatchNorm1d, LayerNorm, Moded
from rlnorm.sb3.passes import passing
from tests.sb3.learning import ALGORITHMS, FLAT_NORMS, make, same, statistics


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
@pytest.mark.parametrize("algorithm", ["ppo", "maskableppo", "recurrentppo"])
def test_ratios_are_one_until_a_weight_moves(algorithm, norm):
    model = make(algorithm, policy=SPREAD | {"norm": norm}, learning_rate=0.0).learn(48)
    assert abs(off_by(model)) < 1e-6


@pytest.mark.parametrize(
    ("norm", "frozen", "off"), [*((norm, True, False) for norm in FLAT_NORMS), ("batch", False, True)]
)
def test_ratios_of_trpo_are_one_before_its_step(norm, frozen, off):
    """Without a line search TRPO logs the objective from before it: the mean advantage, which is normalized to 0."""
    policy = SPREAD | {"norm": norm, "frozen_statistics": frozen}
    model = make("trpo", policy=policy, line_search_max_iter=0).learn(48)
    assert (abs(model.logger.name_to_value["train/policy_objective"]) > 1e-5) == off


def test_statistics_move_with_passes_that_have_gradients():
    """TRPO: one pass of the actor an update, whatever the line search; two critic updates of two minibatches."""
    layers = make("trpo", policy={"norm": "batch"}).learn(48).policy.mlp_extractor
    assert layers.policy_net.norm1.num_batches_tracked == 3
    assert layers.value_net.norm1.num_batches_tracked == 3 * 2 * 2


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


def _several(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def passes(model: Any) -> Iterator[Callable[[Tensor], Tensor]]:
    """Everything that people call in a model: observations -> one row of outputs for each."""
    policy = model.policy
    if hasattr(policy, "mlp_extractor"):

        def extra(x: Tensor, pair: bool) -> list[Any]:
            if not hasattr(policy, "lstm_actor"):
                return []
            state = (torch.zeros(1, len(x), 8), torch.zeros(1, len(x), 8))
            return [type(model._last_lstm_states)(state, state) if pair else state, torch.zeros(len(x))]

        def distribution(x: Tensor) -> Tensor:
            found = policy.get_distribution(x, *extra(x, False))
            return (found[0] if isinstance(found, tuple) else found).mode()

        actions = torch.zeros(1) if policy.action_space.shape == () else torch.zeros(1, 1)
        yield lambda x: policy(x, *extra(x, True), deterministic=True)[1]
        yield lambda x: policy.evaluate_actions(x, actions.expand(len(x), *actions.shape[1:]), *extra(x, True))[1]
        yield lambda x: policy.predict_values(x, *extra(x, False))
        yield distribution
    for name in ("q_net", "quantile_net"):
        if hasattr(policy, name):
            yield getattr(policy, name)
    if hasattr(policy, "actor"):
        yield lambda x: policy.actor(x, deterministic=True) if hasattr(policy.actor, "latent_pi") else policy.actor(x)
        yield lambda x: torch.cat([q.flatten(1) for q in _several(policy.critic(x, x[:, :1]))], 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_after_learn_a_row_has_the_same_outputs_alone_and_nothing_moves(algorithm):
    model, x = make(algorithm, policy={"norm": "batch"}).learn(16), TestPassesOfAnUpdate.X
    before, found = statistics(model), list(passes(model))
    assert model.policy.training
    for run in found:
        torch.testing.assert_close(run(x)[:1], run(x[:1]), rtol=1e-4, atol=1e-5)
    assert same(before, statistics(model))
    assert found


@pytest.mark.parametrize("algorithm", ["dqn", "sac", "ppo"])
def test_whoever_asks_for_train_mode_after_learn_has_it(algorithm):
    model = make(algorithm, policy={"norm": "batch"}).learn(16)
    before = statistics(model)
    model.policy.set_training_mode(True)
    for run in passes(model):
        run(TestPassesOfAnUpdate.X)
    assert not same(before, statistics(model))


class policy_of:
    """What `statistics` takes: something with a policy."""

    def __init__(self, policy):
        self.policy = policy
