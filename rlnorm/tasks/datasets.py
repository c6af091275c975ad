"""Data sets that need no download."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """inputs (n, features) float32, labels (n,) int64, number of classes."""

    inputs: Tensor
    labels: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.labels)


@cache
def digits() -> Dataset:
    """scikit-learn's handwritten digits: 1797 images of 8 x 8 pixels in [0, 1], 10 classes."""
    inputs, labels = load_digits(return_X_y=True)
    return Dataset(torch.from_numpy((inputs / 16).astype(np.float32)), torch.from_numpy(labels.astype(np.int64)), 10)


DATASETS: dict[str, Callable[[], Dataset]] = {"digits": digits}


def split(size: int, test_share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random indices (train, test) of a data set of `size` examples."""
    order, tests = rng.permutation(size), round(size * test_share)
    return order[tests:], order[:tests]
