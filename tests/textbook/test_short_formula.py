"""Note N0's short formula, its terms, and the network that learns with it."""

import numpy as np
import pytest

from rlnorm.textbook import BatchNorm, input_gradient, short_input_gradient
from rlnorm.textbook.short_formula import SEEN, digits, last_term, learning, mended, sum_term, xhat_term


@pytest.fixture
def bn() -> BatchNorm:
    rng = np.random.default_rng(0)
    bn = BatchNorm(3)
    bn.gamma = rng.normal(size=3)
    bn.forward(rng.normal(2, 3, (7, 3)))
    bn.backward(rng.normal(size=(7, 3)))
    return bn


def test_with_both_faults_mended_it_is_the_whole_formula(bn: BatchNorm):
    np.testing.assert_allclose(mended(bn), input_gradient(bn), atol=1e-14)


def test_each_term_is_what_one_mended_fault_changes(bn: BatchNorm):
    np.testing.assert_allclose(mended(bn, last=False) - mended(bn, middle=False, last=False), -xhat_term(bn))
    lost = (bn.gamma / bn.std - 1) * last_term(bn)
    np.testing.assert_allclose(mended(bn, last=False) - mended(bn), np.tile(lost, (7, 1)), atol=1e-14)
    assert np.abs(xhat_term(bn)).max() > 0.01
    assert np.abs(lost).max() > 0.01


def test_with_neither_mended_it_is_the_note_whose_sum_is_nothing(bn: BatchNorm):
    np.testing.assert_allclose(sum_term(bn), 0, atol=1e-15)
    np.testing.assert_allclose(mended(bn, middle=False, last=False), short_input_gradient(bn), atol=1e-14)


def test_digits_are_split_once_and_learnt_the_same_way_from_the_same_seed():
    pixels, classes = digits()
    assert len(pixels) == len(classes) == SEEN + 360
    assert (pixels.min(), pixels.max()) == (0, 1)
    once, again = ([score for score, _ in learning(input_gradient, 0.5, 0, epochs=2, batch=64)] for _ in range(2))
    assert once == again
    assert len(once) == 2
    assert once[-1] > 0.8
