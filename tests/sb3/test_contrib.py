"""Policies of sb3-contrib's algorithms."""

import sys
from typing import Any

import pytest
import torch
from sb3_contrib import QRDQN, TQC

import rlnorm.sb3
from rlnorm.sb3 import QRDQNPolicy, TQCPolicy
from tests.sb3.learning import CONTINUOUS, DISCRETE, FLAT, Noise


@pytest.mark.parametrize(
    ("algorithm", "policy", "action"), [(QRDQN, QRDQNPolicy, DISCRETE), (TQC, TQCPolicy, CONTINUOUS)]
)
def test_without_a_norm_it_learns_the_same_weights(algorithm, policy, action):
    settings: dict[str, Any] = {"learning_starts": 8, "buffer_size": 64, "batch_size": 8, "seed": 0, "device": "cpu"}
    settings["policy_kwargs"] = {"net_arch": [8, 8], "n_quantiles": 5}
    ours, theirs = (algorithm(kind, Noise(FLAT, action), **settings).learn(20) for kind in (policy, "MlpPolicy"))
    for mine, own in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(mine, own)


def test_without_sb3_contrib_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sb3_contrib.qrdqn.policies", None)
    monkeypatch.delitem(sys.modules, "rlnorm.sb3.contrib")
    monkeypatch.delattr(rlnorm.sb3, "contrib")
    with pytest.raises(ImportError, match=r"need sb3-contrib: pip install 'rlnorm\[contrib\]'"):
        rlnorm.sb3.QRDQNPolicy  # noqa: B018


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'DQNPolic'"):
        rlnorm.sb3.DQNPolic  # noqa: B018
