"""Note N0's short formula for dL/dx taken apart, and the textbook's network learning digits with it.

The claim `bn-grad-input-short` and docs/textbook.md are both made from what stands here.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from rlnorm.textbook import BatchNorm, Linear, Network, ReLU, SoftmaxCrossEntropy, accuracy, train
from rlnorm.textbook.arrays import Array

SEEN = 1437
"""Digits to learn from; the other 360 are for the test."""


def sum_term(bn: BatchNorm) -> Array:
    """What the note has in the middle, dgamma sum 2(x-mu) / (m(m-1) std), (features,)."""
    return bn.dgamma * (2 * (bn.x - bn.mu)).sum(axis=0) / (bn.m * (bn.m - 1) * bn.std)


def xhat_term(bn: BatchNorm) -> Array:
    """What the note lacks there, gamma/std dgamma xhat / m, (m, features)."""
    return bn.gamma / bn.std * bn.dgamma * bn.xhat / bn.m


def last_term(bn: BatchNorm) -> Array:
    """What the note has at the end, dbeta / m, (features,)."""
    return bn.dbeta / bn.m


def mended(bn: BatchNorm, *, middle: bool = True, last: bool = True) -> Array:
    """The note's formula without its sum; with the term in xhat instead; with gamma/std on its last term."""
    dx = bn.dxhat / bn.std - (bn.gamma / bn.std if last else 1) * last_term(bn)
    return dx - xhat_term(bn) if middle else dx


@cache
def digits() -> tuple[Array, Array]:
    """scikit-learn's digits: pixels from 0 to 1, (1797, 64), and classes, (1797,)."""
    pixels, classes = map(np.asarray, load_digits(return_X_y=True))
    return pixels / 16, classes


def learning(
    dx: Callable[[BatchNorm], Array], lr: float, seed: int, *, epochs: int, batch: int
) -> Iterator[tuple[float, Linear]]:
    """Linear(64, 32) - BN - ReLU - Linear(32, 10) learns digits with a formula for dL/dx.

    After each epoch: the accuracy on the test digits, and the layer before the BN.
    """
    pixels, classes = digits()
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(pixels))
    seen, unseen = rows[:SEEN], rows[SEEN:]
    first = Linear(64, 32, rng)
    network = Network(first, BatchNorm(32, dx=dx), ReLU(), Linear(32, 10, rng))
    loss = SoftmaxCrossEntropy()
    for _ in train(network, loss, pixels[seen], classes[seen], epochs=epochs, batch=batch, lr=lr, rng=rng):
        yield accuracy(network, pixels[unseen], classes[unseen]), first
