import numpy as np
import pytest
import torch

from rlnorm.tasks.datasets import DATASETS, Dataset, digits, split


def test_digits():
    data = digits()
    assert data.inputs.shape == (1797, 64)
    assert len(data) == len(data.labels) == 1797
    assert (data.inputs.dtype, data.labels.dtype) == (torch.float32, torch.int64)
    assert (data.inputs.min(), data.inputs.max()) == (0, 1)
    assert sorted(set(data.labels.tolist())) == list(range(data.classes)) == list(range(10))


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_has_its_shapes(name):
    data = DATASETS[name]()
    assert isinstance(data, Dataset)
    assert data.inputs.ndim == 2
    assert data.inputs.isfinite().all()
    assert 0 <= int(data.labels.min()) <= int(data.labels.max()) < data.classes


@pytest.mark.parametrize("size", [10, 1797])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_split_is_disjoint_and_whole(size, share):
    train, test = split(size, share, np.random.default_rng(0))
    assert len(test) == round(size * share)
    assert sorted([*train, *test]) == list(range(size))


def test_split_is_drawn_from_its_generator():
    first, again, other = (split(100, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert sorted(first) != sorted(other)
