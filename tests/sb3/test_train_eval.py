"""Train and eval mode where stable-baselines3 switches them, for every norm: its own seven tests, for our layers.

Updates move running statistics (DQN, TD3, SAC, PPO and A2C; here also QR-DQN and TQC), and nothing else does: not
collecting (off-policy, on-policy), not predicting.
"""

import numpy as np
import pytest
from stable_baselines3.common.callbacks import ConvertCallback

from rlnorm.nn import Moded
from tests.sb3.learning import (
    ALGORITHMS,
    FLAT,
    FLAT_NORMS,
    TRACKING,
    WITH_TARGETS,
    WITHOUT_TARGETS,
    learned,
    make,
    same,
    statistics,
)

each_norm = pytest.mark.parametrize("norm", FLAT_NORMS)
OBSERVATIONS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def nothing(*_: object) -> bool:
    return True


@pytest.fixture(scope="module", params=WITH_TARGETS)
def off_policy(request):
    return request.param


@each_norm
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_updates_move_the_statistics(algorithm, norm):
    before, after = (
        statistics(make(algorithm, policy={"norm": norm}), "_target"),
        statistics(learned(algorithm, norm), "_target"),
    )
    assert bool(before) == (norm in TRACKING)
    assert not [name for name in before if np.array_equal(before[name], after[name])]


@each_norm
@pytest.mark.parametrize("algorithm", WITH_TARGETS)
def test_collecting_off_policy_changes_no_statistic(algorithm, norm):
    model = learned(algorithm, norm)
    before = statistics(model, "_target")
    model.policy.set_training_mode(True)
    callback = ConvertCallback(nothing)
    callback.init_callback(model)
    model.collect_rollouts(model.env, callback, model.train_freq, model.replay_buffer, learning_starts=0)
    assert same(before, statistics(model, "_target"))


@each_norm
@pytest.mark.parametrize("algorithm", WITHOUT_TARGETS)
def test_collecting_on_policy_changes_no_statistic(algorithm, norm):
    model = learned(algorithm, norm)
    before = statistics(model)
    model.policy.set_training_mode(True)
    callback = ConvertCallback(nothing)
    callback.init_callback(model)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    assert same(before, statistics(model))


@each_norm
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_predicting_is_deterministic_and_changes_no_statistic(algorithm, norm):
    model = learned(algorithm, norm)
    before = statistics(model)
    model.policy.set_training_mode(True)
    first, _ = model.predict(OBSERVATIONS, deterministic=True)
    one, _ = model.predict(OBSERVATIONS[1], deterministic=True)
    again, _ = model.predict(OBSERVATIONS, deterministic=True)
    assert np.array_equal(first, again)
    np.testing.assert_allclose(first[1], one, rtol=1e-5)
    assert same(before, statistics(model))
    assert not [module for module in model.policy.modules() if isinstance(module, Moded) and module.training]


def test_these_tests_can_fail():
    model = make("dqn", policy={"norm": "batch"})
    before = statistics(model)
    model.policy.q_net.train()
    model.q_net(model.policy.obs_to_tensor(OBSERVATIONS)[0])
    assert not same(before, statistics(model))
    assert FLAT.shape == OBSERVATIONS.shape[1:]
