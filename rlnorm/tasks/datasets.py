"""Data sets by name and seed, bundled or generated; none is downloaded.

The shape of one example says what reads it: (features,) a vector, (T, features) a sequence of T steps, (channels,
height, width) an image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """Examples and what is to be predicted from them.

    inputs   (n, *shape) float32
    targets  classes (n,) int64, or numbers (n, outputs) float32
    classes  number of classes; None for regression
    """

    inputs: Tensor
    targets: Tensor
    classes: int | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.inputs.shape[1:])

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one per class, or one per number."""
        return self.targets.shape[1] if self.classes is None else self.classes


def digits(seed: int = 0) -> Dataset:
    """scikit-learn's handwritten digits: 1797 images of 8 x 8 pixels in [0, 1] as vectors, 10 classes; no seed."""
    inputs, labels = load_digits(return_X_y=True)
    return Dataset(_float32(inputs / 16), torch.from_numpy(labels.astype(np.int64)), 10)  # pyright: ignore[reportArgumentType]


SIGNAL_LENGTH, SIGNAL_CLASSES, SIGNAL_POINTS = 40, 10, 12
_TEMPLATE_SEED = 5


def _templates() -> np.ndarray:
    """One smooth curve per class, (classes, points), of mean 0 and standard deviation 1: the same for every seed."""
    rough = np.random.default_rng(_TEMPLATE_SEED).normal(size=(SIGNAL_CLASSES, SIGNAL_POINTS + 2))
    curves = (rough[:, :-2] + 2 * rough[:, 1:-1] + rough[:, 2:]) / 4
    return (curves - curves.mean(1, keepdims=True)) / curves.std(1, keepdims=True)


def signals(seed: int = 0, size: int = 4000) -> Dataset:
    """Curves of 40 points in 10 classes, after MNIST-1D: what a linear model classifies badly.

    Each example is the curve of its class, placed anywhere, stretched, scaled, tilted and covered with smooth and with
    white noise. Source: Greydanus & Kobak 2020, arXiv:2011.14439, sec. 2; curves and constants are our own.
    """
    rng = np.random.default_rng([seed, 10])
    labels = rng.integers(SIGNAL_CLASSES, size=size)
    width = rng.uniform(14, 22, size=(size, 1))
    start = rng.uniform(0, SIGNAL_LENGTH - width)
    at = (np.arange(SIGNAL_LENGTH) - start) / width * (SIGNAL_POINTS - 1)
    left = np.clip(at.astype(int), 0, SIGNAL_POINTS - 2)
    curves = _templates()[labels]
    low, high = (np.take_along_axis(curves, left + i, 1) for i in (0, 1))
    x = np.where((at >= 0) & (at <= SIGNAL_POINTS - 1), low + (at - left) * (high - low), 0)
    x = x * rng.uniform(0.8, 1.2, size=(size, 1))
    x += rng.uniform(-0.5, 0.5, size=(size, 1)) * np.linspace(-1, 1, SIGNAL_LENGTH)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    noise = rng.normal(size=(size, SIGNAL_LENGTH + 12))
    smooth = np.lib.stride_tricks.sliding_window_view(noise, 13, axis=1) @ (kernel / np.linalg.norm(kernel))
    x += 0.25 * smooth + 0.02 * rng.normal(size=x.shape)
    return Dataset(_float32(x), torch.from_numpy(labels.astype(np.int64)), SIGNAL_CLASSES)


def teacher(seed: int = 0, size: int = 2000, inputs: int = 8, hidden: int = 16) -> Dataset:
    """Regression on what a random network of tanh units makes of standard normal inputs; targets have variance 1.

    The teacher is inputs-hidden-hidden-1 with weights of variance 4 / fan_in; its answers carry no noise.
    """
    rng = np.random.default_rng([seed, 11])
    x = rng.normal(size=(size, inputs))
    h = x
    for width in (hidden, hidden):
        h = np.tanh(h @ rng.normal(scale=2 / h.shape[1] ** 0.5, size=(h.shape[1], width)))
    return Dataset(_float32(x), _standard(h @ rng.normal(size=(hidden, 1))))


def spirals(seed: int = 0, size: int = 1000) -> Dataset:
    """Two classes, each along one arm of a double spiral of 1.5 turns in the plane: no line separates them."""
    rng = np.random.default_rng([seed, 12])
    labels = rng.integers(2, size=size)
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.02, 1, size=size))
    turned = angle + np.pi * labels
    x = (angle / (3 * np.pi))[:, None] * np.stack([np.cos(turned), np.sin(turned)], 1)
    return Dataset(_float32(x + rng.normal(scale=0.02, size=x.shape)), torch.from_numpy(labels.astype(np.int64)), 2)


def lengths(seed: int = 0, size: int = 2000, inputs: int = 10) -> Dataset:
    """Regression on the length of a vector, which varies by a factor e^2: the answer lies in the raw scale alone."""
    rng = np.random.default_rng([seed, 13])
    directions = rng.normal(size=(size, inputs))
    length = np.exp(rng.uniform(-1, 1, size=(size, 1)))
    x = length * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return Dataset(_float32(x), _standard(length))


def _float32(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))


def _standard(y: np.ndarray) -> Tensor:
    return _float32((y - y.mean()) / y.std())


def _shaped(source: Callable[[int], Dataset], *shape: int) -> Callable[[int], Dataset]:
    """The same examples in another shape."""

    def make(seed: int) -> Dataset:
        data = source(seed)
        return Dataset(data.inputs.unflatten(1, shape), data.targets, data.classes)

    return make


DATASETS: Mapping[str, Callable[[int], Dataset]] = {
    "digits": digits,
    "digits_image": _shaped(digits, 1, 8, 8),
    "digits_rows": _shaped(digits, 8, 8),  # a sequence of 8 rows
    "digits_pixels": _shaped(digits, 64, 1),  # a sequence of 64 pixels
    "signals": signals,
    "signals_steps": _shaped(signals, SIGNAL_LENGTH, 1),
    "teacher": teacher,
    "spirals": spirals,
    "lengths": lengths,
}


@cache
def dataset(name: str, seed: int = 0) -> Dataset:
    """The data set of that name in `DATASETS`; the same seed gives the same examples. Not to be changed in place."""
    return DATASETS[name](seed)


def split(size: int, test_fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random indices (train, test) of a data set of `size` examples."""
    order, tests = rng.permutation(size), round(size * test_fraction)
    return order[tests:], order[:tests]
