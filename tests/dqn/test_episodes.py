"""Episodes summed up many steps at once are what they are step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.dqn import episodes as module
from rlnorm.dqn.episodes import Episodes

SUCCESS = 4.0


class Plain:
    """The definition: every reward is added where and when it comes."""

    def __init__(self, discount: float, observation: np.ndarray):
        members, envs = observation.shape[:2]
        self.discount, self.finished = discount, [list[float]() for _ in range(members)]
        self.rewards = {(n, e): list[float]() for n in range(members) for e in range(envs)}
        self.began, self.last_began = observation.copy(), observation.copy()
        self.last_return = np.full((members, envs), np.nan)
        self.first_success, self.steps = np.full(members, np.nan), 0

    def step(self, reward: np.ndarray, ended: np.ndarray, observation: np.ndarray) -> None:
        self.steps += 1
        for (n, e), rewards in self.rewards.items():
            rewards.append(float(reward[n, e]))
            if ended[n, e]:
                self.finished[n].append(sum(rewards))
                if np.isnan(self.first_success[n]) and sum(rewards) >= SUCCESS:
                    self.first_success[n] = self.steps
                self.last_return[n, e] = sum(r * self.discount**i for i, r in enumerate(rewards))
                self.last_began[n, e], self.began[n, e] = self.began[n, e], observation[n, e]
                rewards.clear()

    def take(self) -> list[float]:
        means = [float(np.mean(each)) if each else np.nan for each in self.finished]
        self.finished = [[] for _ in self.finished]
        return means


def assert_agree(own: Episodes, plain: Plain) -> None:
    began, brought = own.last()
    np.testing.assert_array_equal(began, plain.last_began)
    np.testing.assert_allclose(brought, plain.last_return, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(own.first_success(), plain.first_success)


@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from([(1, 1), (3, 1), (2, 4)]),
    inner=st.sampled_from([(2,), (1, 2, 2)]),
    ends=st.sampled_from([0.0, 0.02, 0.2, 0.8, 1.0]),
    discount=st.sampled_from([0.0, 0.1, 0.9, 0.99, 1.0]),
    asked=st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    steps=st.integers(0, 60),
    most=st.sampled_from([1, 7, 256]),
)
@settings(max_examples=200, deadline=None)
def test_summed_up_late_is_as_summed_up_step_by_step(seed, shape, inner, ends, discount, asked, steps, most):
    rng, dtype = np.random.default_rng(seed), np.uint8 if len(inner) > 1 else np.float32
    first = rng.integers(256, size=(*shape, *inner)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST", most)
        own, plain = Episodes(discount, first, SUCCESS), Plain(discount, first)
    reward, ended, observation = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros_like(first)
    for _ in range(steps):
        # In place: environments may use their arrays again.
        reward[:], ended[:] = rng.normal(size=shape), rng.random(shape) < ends
        observation[:] = rng.integers(256, size=observation.shape)
        own.step(reward, ended, observation)
        plain.step(reward, ended, observation)
        if rng.random() < asked:
            np.testing.assert_allclose(own.take(), plain.take(), rtol=1e-12, atol=1e-12)
        if rng.random() < asked:
            assert_agree(own, plain)
    np.testing.assert_allclose(own.take(), plain.take(), rtol=1e-12, atol=1e-12)
    assert_agree(own, plain)


def test_whole_rewards_give_their_mean_to_the_last_digit():
    rng, observation = np.random.default_rng(0), np.zeros((4, 3, 2), dtype=np.float32)
    own, plain = Episodes(0.99, observation), Plain(0.99, observation)
    for step in range(1, 2001):
        now = rng.integers(-3, 100, size=(4, 3)).astype(np.float32), rng.random((4, 3)) < 0.03, observation
        own.step(*now)
        plain.step(*now)
        if step % 500 == 0:
            assert own.take() == plain.take()


def test_the_first_success_is_the_members_earliest_in_any_of_its_environments():
    """By hand: member 0 reaches 2 in its second environment, at step 3; member 1 at step 4, in its second episode."""
    own = Episodes(0.9, np.zeros((3, 2, 1), dtype=np.float32), success=2.0)
    rewards = [[[0, 0], [1, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]], [[0, 1], [1, 0], [0, 0]], [[9, 0], [1, 0], [0, 0]]]
    ends = [[[0, 0], [1, 0], [0, 0]], [[0, 0], [0, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]], [[1, 0], [1, 1], [1, 1]]]
    for reward, ended in zip(rewards, ends, strict=True):
        assert np.isnan(own.first_success()[1])
        own.step(np.array(reward, dtype=float), np.array(ended, dtype=bool), np.zeros((3, 2, 1), dtype=np.float32))
    np.testing.assert_array_equal(own.first_success(), [3, 4, np.nan])


def test_nothing_is_known_before_an_episode_ended():
    first = np.ones((2, 1, 3), dtype=np.float32)
    own = Episodes(0.9, first)
    assert np.isnan(own.take()).all()
    own.step(np.ones((2, 1)), np.array([[True], [False]]), 2 * first)
    began, brought = own.last()
    assert (began == 1).all()
    np.testing.assert_array_equal(brought, [[1], [np.nan]])
    np.testing.assert_array_equal(own.take(), [1, np.nan])
    assert np.isnan(own.take()).all()


def test_images_that_wait_take_no_more_memory_than_is_meant():
    image = np.zeros((40, 10, 4, 84, 84), dtype=np.uint8)
    own = Episodes(0.99, image)
    held = [x.nbytes for x in vars(own).values() if isinstance(x, np.ndarray)]
    assert max(held) <= max(module.BYTES, image.nbytes)
