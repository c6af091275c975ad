"""DQN's policy is stable-baselines3's own but for the norms."""

import pytest
import torch
from stable_baselines3 import DQN

from rlnorm.nn import BatchNorm1d
from rlnorm.sb3 import DQNPolicy
from tests.sb3.learning import DISCRETE, FLAT, SMALL_IMAGE, Noise, make


@pytest.mark.parametrize(("observation", "bare"), [(FLAT, "MlpPolicy")], ids=["flat"])
def test_without_a_norm_it_learns_the_same_weights(observation, bare):
    settings = {"learning_starts": 8, "buffer_size": 64, "batch_size": 8, "seed": 0, "device": "cpu"}
    ours = DQN(DQNPolicy, Noise(observation, DISCRETE), **settings).learn(24)
    theirs = DQN(bare, Noise(observation, DISCRETE), **settings).learn(24)
    for mine, own in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(mine, own)


def test_norms_stand_on_the_hidden_layers():
    model = make("dqn", policy={"norm": "batch", "place": "after", "activation_fn": torch.nn.Tanh})
    names = [name for name, _ in model.q_net.q_net.named_children()]
    assert names == ["linear1", "activation1", "norm1", "linear2", "activation2", "norm2", "output"]
    assert isinstance(model.q_net.q_net.norm1, BatchNorm1d)
    assert isinstance(model.q_net.q_net.activation1, torch.nn.Tanh)


def test_images_have_no_further_hidden_layers_unless_asked():
    policy = DQNPolicy(SMALL_IMAGE, DISCRETE, lambda _: 1e-3, norm="batch")
    assert [name for name, _ in policy.q_net.q_net.named_children()] == ["output"]
