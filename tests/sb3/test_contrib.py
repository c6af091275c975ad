"""Policies of sb3-contrib's algorithms: what is theirs alone, and what is said where it is not installed."""

import sys

import numpy as np
import pytest
import torch

import rlnorm.sb3
from tests.sb3.learning import make


def test_without_sb3_contrib_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sb3_contrib.qrdqn.policies", None)
    monkeypatch.delitem(sys.modules, "rlnorm.sb3.contrib")
    monkeypatch.delattr(rlnorm.sb3, "contrib")
    with pytest.raises(ImportError, match=r"need sb3-contrib: pip install 'rlnorm\[contrib\]'"):
        rlnorm.sb3.QRDQNPolicy  # noqa: B018


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'DQNPolic'"):
        rlnorm.sb3.DQNPolic  # noqa: B018


@pytest.mark.parametrize("frozen", [True, False])
def test_rows_that_pad_sequences_do_not_count(frozen):
    """A rollout of 16 steps, in episodes of 5, is padded to 4 sequences of 5; its mean is that of the 16."""
    norm = {"norm": {"features": "batch"}, "norm_kwargs": {"features": {"momentum": 1.0}}, "frozen_statistics": frozen}
    model = make("recurrentppo", policy=norm, batch_size=16, n_epochs=1).learn(16)
    batch = next(model.rollout_buffer.get(16))
    assert len(batch.mask) > batch.mask.sum() == 16
    kept = model.policy.features_extractor.norm_input
    expected = model.rollout_buffer.observations.reshape(16, 4)
    np.testing.assert_allclose(kept.running_mean, expected.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kept.running_var, expected.var(0, ddof=1), rtol=1e-4)


def test_a_recurrent_policy_comes_back_with_its_lstm(tmp_path):
    size = {"lstm_hidden_size": 5, "n_lstm_layers": 2, "enable_critic_lstm": False, "shared_lstm": True}
    policy = make("recurrentppo", policy=size | {"norm": "layer"}).policy
    policy.save(tmp_path / "policy")
    loaded = type(policy).load(tmp_path / "policy", device="cpu")
    assert not [name for name, x in policy.state_dict().items() if not torch.equal(x, loaded.state_dict()[name])]
    assert loaded.shared_lstm
