import numpy as np
import pytest
import torch
from torch import Tensor

from rlnorm.tasks.datasets import DATASETS, dataset, digits, lengths, signals, spirals, split, teacher

# Shape of an example, number of classes (None: regression), number of examples.
FACTS = {
    "digits": ((64,), 10, 1797),
    "digits_image": ((1, 8, 8), 10, 1797),
    "digits_rows": ((8, 8), 10, 1797),
    "digits_pixels": ((64, 1), 10, 1797),
    "signals": ((40,), 10, 4000),
    "signals_steps": ((40, 1), 10, 4000),
    "teacher": ((8,), None, 2000),
    "spirals": ((2,), 2, 1000),
    "lengths": ((10,), None, 2000),
}


def test_every_data_set_has_its_facts_tested():
    assert set(FACTS) == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_has_its_shapes(name):
    data, (shape, classes, size) = dataset(name), FACTS[name]
    assert (data.shape, data.classes, len(data)) == (shape, classes, size)
    assert data.inputs.shape == (size, *shape)
    assert data.inputs.dtype == torch.float32
    assert data.inputs.isfinite().all()
    if classes is None:
        assert data.targets.shape == (size, data.outputs)
        torch.testing.assert_close(data.targets.mean(0), torch.zeros(1), atol=1e-5, rtol=0)
        torch.testing.assert_close(data.targets.std(0), torch.ones(1), atol=1e-3, rtol=0)
    else:
        assert data.outputs == classes
        counts = data.targets.bincount(minlength=classes)
        assert len(counts) == classes
        assert counts.min() > 0.8 * size / classes


@pytest.mark.parametrize("name", DATASETS)
def test_the_seed_decides_the_examples(name):
    first, again = (DATASETS[name](3) for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, again.targets)
    assert torch.equal(first.inputs, DATASETS[name](4).inputs) == name.startswith("digits")


@pytest.mark.parametrize("name", DATASETS)
def test_a_form_holds_the_examples_of_its_source(name):
    data, source = dataset(name), dataset(name.split("_")[0])
    assert torch.equal(data.inputs.flatten(1), source.inputs)
    assert torch.equal(data.targets, source.targets)


def test_digits():
    data = digits()
    assert (data.inputs.min(), data.inputs.max()) == (0, 1)
    assert sorted(set(data.targets.tolist())) == list(range(10))


def fitted_linearly(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Test predictions of the least squares fit on the first four fifths, and test targets."""
    x = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    count = len(x) * 4 // 5
    return x[count:] @ torch.linalg.lstsq(x[:count], targets[:count]).solution, targets[count:]


@pytest.mark.parametrize(("data", "most"), [(signals(), 0.4), (spirals(), 0.75)])
def test_a_linear_model_cannot_solve_the_generated_classes(data, most):
    outputs, targets = fitted_linearly(data.inputs, torch.eye(data.outputs)[data.targets])
    assert (outputs.argmax(1) == targets.argmax(1)).float().mean() < most


def test_a_linear_model_cannot_predict_lengths_which_are_the_answer():
    data = lengths()
    outputs, targets = fitted_linearly(data.inputs, data.targets)
    assert (outputs - targets).square().mean() > 0.9
    outputs, targets = fitted_linearly(data.inputs.norm(dim=1, keepdim=True), data.targets)
    assert (outputs - targets).square().mean() < 1e-6


def test_the_teacher_is_no_linear_map():
    outputs, targets = fitted_linearly(teacher().inputs, teacher().targets)
    assert 0.1 < (outputs - targets).square().mean() < 0.6


def test_nearest_neighbours_know_the_class_of_a_signal():
    """So that its class can be read from it: far above the linear model's."""
    data = signals()
    train, test = data.inputs[:3000], data.inputs[3000:]
    nearest = torch.cdist(test, train).argmin(1)
    assert (data.targets[:3000][nearest] == data.targets[3000:]).float().mean() > 0.6


@pytest.mark.parametrize("size", [10, 1797])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5])
def test_split_is_disjoint_and_whole(size, fraction):
    train, test = split(size, fraction, np.random.default_rng(0))
    assert len(test) == round(size * fraction)
    assert sorted([*train, *test]) == list(range(size))


def test_split_is_drawn_from_its_generator():
    first, again, other = (split(100, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert sorted(first) != sorted(other)
