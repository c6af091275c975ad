from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.dqn.replay import Replay, unpack

Transition = tuple[tuple[float, ...], tuple[float, ...], int, float, float]


def draw(members: int, envs: int, size: int, rng: np.random.Generator):
    return (
        rng.normal(size=(members, envs, size)).astype(np.float32),
        rng.normal(size=(members, envs, size)).astype(np.float32),
        rng.integers(5, size=(members, envs)),
        rng.normal(size=(members, envs)).astype(np.float32),
        rng.choice([0.0, 0.99], size=(members, envs)).astype(np.float32),
    )


def listed(added: tuple[np.ndarray, ...], i: int, e: int) -> Transition:
    s, s_next, a, r, d = (field[i, e] for field in added)
    return tuple(s.tolist()), tuple(s_next.tolist()), int(a), float(r), float(d)


def held(replay: Replay, i: int, size: int) -> list[Transition]:
    """Member i's transitions, read through what a sampled batch is read with."""
    batch = unpack(torch.from_numpy(replay.rows[i : i + 1, : replay.filled]), (size,))
    return [
        (tuple(s.tolist()), tuple(s_next.tolist()), int(a), float(r), float(d))
        for s, s_next, a, r, d in zip(*(field[0] for field in batch), strict=True)
    ]


@settings(deadline=None, max_examples=150)
@given(st.data(), st.integers(1, 3), st.integers(1, 23), st.integers(1, 3), st.integers(0, 30))
def test_the_ring_is_a_list_of_the_last_transitions(data, members, capacity, size, adds):
    envs = data.draw(st.integers(1, capacity))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    replay, model = Replay(members, capacity, (size,)), [deque[Transition](maxlen=capacity) for _ in range(members)]
    for _ in range(adds):
        added = draw(members, envs, size, rng)
        replay.add(*added)
        for i in range(members):
            model[i].extend(listed(added, i, e) for e in range(envs))
    assert replay.filled == min(adds * envs, capacity)
    for i in range(members):
        assert sorted(held(replay, i, size)) == sorted(model[i])


@pytest.mark.parametrize(("capacity", "envs"), [(10, 3), (10, 10), (10, 5), (7, 4), (1, 1)])
def test_the_ring_over_many_rounds(capacity, envs):
    rng, replay = np.random.default_rng(0), Replay(2, capacity, (1,))
    model = [deque[Transition](maxlen=capacity) for _ in range(2)]
    for _ in range(50):
        added = draw(2, envs, 1, rng)
        replay.add(*added)
        for i in range(2):
            model[i].extend(listed(added, i, e) for e in range(envs))
            assert sorted(held(replay, i, 1)) == sorted(model[i])


def numbered(members: int, capacity: int, filled: int) -> Replay:
    """A replay whose rewards number its transitions: member i holds 1000 i + 1, 1000 i + 2, ..."""
    replay = Replay(members, capacity, (2,))
    for n in range(1, filled + 1):
        reward = np.array([[1000.0 * i + n] for i in range(members)])
        zeros = np.zeros((members, 1, 2), dtype=np.float32)
        replay.add(zeros, zeros, np.zeros((members, 1), dtype=np.int64), reward, reward * 0)
    return replay


@pytest.mark.parametrize("filled", [1, 7, 20, 33])
def test_a_sample_comes_from_ones_own_filled_rows(filled, rng):
    replay = numbered(3, 20, filled)
    rewards = replay.unpack(replay.sample(2000, rng)).r_t
    assert rewards.shape == (3, 2000)
    alive = range(max(1, filled - 19), filled + 1)
    for i in range(3):
        assert set(rewards[i].tolist()) == {1000.0 * i + n for n in alive}


def test_a_sample_is_uniform_and_members_draw_apart(rng):
    """Chi-squared with 19 degrees of freedom: mean 19, above 50 with probability 1e-4."""
    replay = numbered(3, 20, 20)
    rewards = replay.unpack(replay.sample(20_000, rng)).r_t
    for i in range(3):
        counts = torch.bincount(rewards[i].long() - 1000 * i, minlength=21)[1:]
        assert ((counts - 1000.0).square() / 1000).sum() < 50
    assert not torch.equal(rewards[0] % 1000, rewards[1] % 1000)


def test_a_sample_is_the_generators():
    replay = numbered(2, 20, 20)
    first, again, other = (replay.sample(50, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_unpack_names_the_fields():
    batch = unpack(torch.arange(9.0).view(1, 1, 9), (3,))
    assert batch.s_tm1.tolist() == [[[0, 1, 2]]]
    assert batch.s_t.tolist() == [[[3, 4, 5]]]
    assert (batch.a_tm1.tolist(), batch.r_t.tolist(), batch.discount_t.tolist()) == ([[6]], [[7]], [[8]])
    assert batch.a_tm1.dtype == torch.int64


def test_observations_keep_their_shape(rng):
    """Of two axes, through the ring and out of it."""
    replay, images = Replay(2, 5, (2, 3)), np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    scalars = np.zeros((2, 2))
    replay.add(images, -images, scalars.astype(np.int64), images[..., 0, 0], scalars)
    batch = replay.unpack(replay.sample(9, rng))
    assert batch.s_tm1.shape == batch.s_t.shape == (2, 9, 2, 3)
    assert torch.equal(batch.s_tm1, -batch.s_t)
    assert torch.equal(batch.s_tm1 - batch.r_t[..., None, None], torch.arange(6.0).view(2, 3).expand(2, 9, 2, 3))


def test_memory_is_what_the_docstring_says():
    assert Replay(32, 10_000, (4,)).rows.nbytes == 32 * 10_000 * 11 * 4
