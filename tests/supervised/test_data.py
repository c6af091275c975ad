from typing import Any

import numpy as np
import pytest
import torch

from rlnorm.supervised.data import Data, feature_scales, mislabeled
from rlnorm.supervised.settings import Settings
from rlnorm.tasks.datasets import dataset

SEEDS = (0, 1, 0)
MEMBERS = {"seeds": SEEDS, "rates": (0.1,) * 3, "steps": 1}


def data(name: str = "digits", **settings: Any) -> Data:
    return Data(Settings(**MEMBERS, dataset=name, **settings))


def every(of: Data, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    return of.train(torch.from_numpy(of.rows)) if where == "train" else of.test(of.test_rows)


def test_train_and_test_sets_are_disjoint_and_of_the_stated_sizes():
    whole, part = data(), data(train_size=100)
    assert (whole.rows.shape, part.rows.shape, whole.test_rows.shape) == ((3, 1438), (3, 100), (3, 359))
    for train, few, test in zip(whole.rows, part.rows, whole.test_rows.tolist(), strict=True):
        assert set(train) | set(test) == set(range(1797))
        assert set(few) <= set(train)
    assert torch.equal(whole.test_rows[0], whole.test_rows[2])
    assert set(whole.test_rows[0].tolist()) != set(whole.test_rows[1].tolist())


@pytest.mark.parametrize("name", ["digits", "digits_image", "digits_rows", "teacher"])
@pytest.mark.parametrize("where", ["train", "test"])
def test_without_options_examples_are_the_data_sets(name, where):
    own, source = data(name), dataset(name)
    rows = torch.from_numpy(own.rows) if where == "train" else own.test_rows
    inputs, targets = every(own, where)
    assert torch.equal(inputs, source.inputs[rows])
    assert torch.equal(targets, source.targets[rows])


@pytest.mark.parametrize(("size", "batch"), [(20, 5), (23, 5), (7, 7)])
def test_batches_are_epochs_without_repetition(size, batch):
    own = data(train_size=size)
    per_epoch = size // batch
    drawn = np.stack([rows.numpy() for rows in own.batches(batch, 3 * per_epoch + 1)], axis=1)
    assert drawn.shape == (3, 3 * per_epoch + 1, batch)
    for member in range(3):
        epochs = [drawn[member, i * per_epoch : (i + 1) * per_epoch].ravel() for i in range(3)]
        for epoch in epochs:
            assert len(set(epoch)) == per_epoch * batch
            assert set(epoch) <= set(own.rows[member])
        assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(drawn[0], drawn[2])


def test_label_noise_makes_that_fraction_of_the_training_labels_another_class():
    own, clean = data(label_noise=[0.0, 0.5, 0.25]), data()
    noisy, right = every(own, "train")[1], every(clean, "train")[1]
    fractions = (noisy != right).float().mean(1)
    torch.testing.assert_close(fractions, torch.tensor([0.0, 0.5, 0.25]), atol=0.03, rtol=0)
    assert set(noisy.unique().tolist()) == set(range(10))
    assert torch.equal(every(own, "test")[1], every(clean, "test")[1])


def test_wrong_labels_come_from_the_seed_and_are_spread_over_the_other_classes():
    source = dataset("digits")
    noisy = mislabeled(source, 0.9, 7)
    assert torch.equal(noisy, mislabeled(source, 0.9, 7))
    assert not torch.equal(noisy, mislabeled(source, 0.9, 8))
    steps = ((noisy - source.targets) % 10).bincount(minlength=10)
    assert (steps[1:] > 0.7 * 0.1 * len(source)).all()


def test_noise_of_a_regression_has_the_stated_deviation():
    own, clean = data("teacher", label_noise=0.5), data("teacher")
    noise = every(own, "train")[1] - every(clean, "train")[1]
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(every(own, "test")[1], every(clean, "test")[1])


def test_standardized_inputs_have_mean_0_and_deviation_1_in_each_members_training_set():
    inputs, _ = every(data(standardize=True, scale_decades=4.0), "train")
    varying = inputs.abs().amax(1) > 0
    torch.testing.assert_close(inputs.mean(1), torch.zeros(3, 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std(1, correction=0)[varying], torch.ones(int(varying.sum())), atol=1e-3, rtol=0)
    assert not varying.all(), "digits have pixels that are never set"


def test_scales_differ_by_the_stated_decades():
    source = dataset("digits_image")
    scales = feature_scales(source, Settings(**MEMBERS, dataset="digits_image", scale_decades=4.0))
    assert scales.shape == (1, 8, 8)
    assert 3 < (scales.max() / scales.min()).log10() <= 4
    assert abs(scales.log10().mean()) < 0.5
    torch.testing.assert_close(
        every(data("digits_image", scale_decades=4.0), "test")[0],
        source.inputs[data("digits_image").test_rows] * scales,
    )
    assert torch.equal(feature_scales(source, Settings(**MEMBERS, dataset="digits_image")), torch.ones(1, 8, 8))


def test_a_shift_is_the_test_sets_alone():
    own, plain = data(test_shift=0.5, test_gain=2.0), data()
    assert torch.equal(every(own, "train")[0], every(plain, "train")[0])
    expected = 2 * every(plain, "test")[0] + 0.5 * dataset("digits").inputs.std()
    torch.testing.assert_close(every(own, "test")[0], expected)
