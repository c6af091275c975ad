"""Norms in DQN's policy."""

import torch

from rlnorm.nn import BatchNorm1d
from rlnorm.sb3 import DQNPolicy
from tests.sb3.learning import DISCRETE, SMALL_IMAGE, make


def test_norms_stand_on_the_hidden_layers():
    model = make("dqn", policy={"norm": "batch", "place": "after", "activation_fn": torch.nn.Tanh})
    names = [name for name, _ in model.q_net.q_net.named_children()]
    assert names == ["linear1", "activation1", "norm1", "linear2", "activation2", "norm2", "output"]
    assert isinstance(model.q_net.q_net.norm1, BatchNorm1d)
    assert isinstance(model.q_net.q_net.activation1, torch.nn.Tanh)


def test_images_have_no_further_hidden_layers_unless_asked():
    policy = DQNPolicy(SMALL_IMAGE, DISCRETE, lambda _: 1e-3, norm="batch")
    assert [name for name, _ in policy.q_net.q_net.named_children()] == ["output"]
