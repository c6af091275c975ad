import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import rlnorm.supervised
from rlnorm.networks import initialize, mlp
from rlnorm.nn import NORMS
from rlnorm.tasks.datasets import digits, split
from tests.alone import MLP_NORMS, torch_optimizer

FINE: dict[str, Any] = {
    "dataset": "digits",
    "seeds": [0, 1, 0],
    "rates": [0.1, 0.03, 0.01],
    "steps": 40,
    "train_size": None,
    "norm": "none",
    "place": "before",
    "hidden": (16,),
    "activation": "relu",
    "init": "torch",
    "init_scale": 1.0,
    "optimizer": "sgd",
    "batch": 64,
}


def run(**changes: object) -> list[dict[str, Any]]:
    return list(rlnorm.supervised.train(**{**FINE, **changes}))


def rows(records: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(record) for record in records]


def train_alone(seed: int, rate: float, *, norm: str, optimizer: str, steps: int, scale: float, size: int):
    """One classifier as a plain module: losses and test accuracies after every update, and the last train accuracy."""
    bias = not NORMS[norm].couples_batch
    data, network = digits(), mlp(64, 10, hidden=(16,), norm=norm, bias=bias)
    initialize(network, torch.Generator().manual_seed(seed), scale=scale)
    rule = torch_optimizer(optimizer, network, rate)
    stream = np.random.default_rng([seed, 0])
    train, test = split(1797, 0.2, stream)
    train, losses, accuracies = train[:size], list[float](), list[float]()

    def accuracy(of: np.ndarray) -> float:
        with torch.no_grad():
            right = network.eval()(data.inputs[of]).argmax(1) == data.targets[of]
        return right.float().mean().item()

    while len(losses) < steps:
        order = stream.permutation(train)
        for at in range(0, len(order) - 63, 64):
            own = order[at : at + 64]
            loss = cross_entropy(network.train()(data.inputs[own]), data.targets[own])
            rule.zero_grad()
            loss.backward()
            rule.step()
            losses.append(loss.item())
            accuracies.append(accuracy(test))
    return losses[:steps], accuracies[:steps], accuracy(train)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_members_train_as_they_would_alone(norm, optimizer):
    """Each with its own seed and rate; through several epochs of 192 examples."""
    rates = [0.1, 0.03, 0.01] if optimizer == "sgd" else [3e-3, 1e-3, 1e-2]
    bias = not NORMS[norm].couples_batch
    records = run(norm=norm, optimizer=optimizer, rates=rates, train_size=200, init_scale=1.5, steps=12, bias=bias)
    for i, (seed, rate) in enumerate(zip(FINE["seeds"], rates, strict=True)):
        losses, accuracies, last = train_alone(
            seed, rate, norm=norm, optimizer=optimizer, steps=12, scale=1.5, size=200
        )
        np.testing.assert_allclose([record["loss"][i] for record in records], losses, rtol=1e-3)
        np.testing.assert_allclose([record["test_accuracy"][i] for record in records], accuracies, atol=0.006)
        assert records[-1]["train_accuracy"][i] == pytest.approx(last, abs=0.011)


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_digits_are_learnt(norm):
    """By every norm, at one rate of two at least."""
    records = run(norm=norm, seeds=[0, 1] * 2, rates=[0.1, 0.1, 0.3, 0.3], hidden=(64,), steps=150)
    means = np.array(records[-1]["test_accuracy"]).reshape(2, 2).mean(1)
    assert means.max() > 0.95
    assert np.mean(records[-1]["train_accuracy"]) > np.mean(records[0]["test_accuracy"])


@pytest.mark.parametrize(("steps", "count"), [(100, 100), (37, 37), (1, 1), (150, 100), (199, 100), (200, 100)])
def test_there_are_100_records_or_one_an_update(steps, count):
    records = run(steps=steps, seeds=[0], rates=[0.1], hidden=(2,))
    at = [record["step"] for record in records]
    assert len(at) == count
    assert at[-1] == steps
    gaps = np.diff([0, *at])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_a_record_has_its_keys_and_is_json():
    records = run(steps=120)
    common = {"step", "loss", "test_loss", "test_accuracy", "diverged"}
    assert all(set(record) == common for record in records[:-1])
    assert set(records[-1]) == {*common, "train_loss", "train_accuracy"}
    for record in records:
        json.dumps(record)
        assert all(len(value) == 3 for key, value in record.items() if key != "step")


def test_loss_is_the_mean_since_the_last_record():
    """Records of one update beside records of two and three: at a rate that moves nothing the data are the same."""
    every = [record["loss"][0] for record in run(steps=100, seeds=[0], rates=[1e-30])]
    fewer = [record["loss"][0] for record in run(steps=250, seeds=[0], rates=[1e-30])]
    at, start = [record["step"] for record in run(steps=250, seeds=[0], rates=[1e-30])], 0
    for loss, step in zip(fewer, at, strict=True):
        if step > 100:
            break
        assert loss == pytest.approx(np.mean(every[start:step]), rel=1e-5)
        start = step
    assert start >= 98


def test_the_same_unit_gives_the_same_rows_and_another_does_not():
    torch.manual_seed(1)
    first = rows(run(norm="batch"))
    torch.manual_seed(2)
    assert rows(run(norm="batch")) == first
    for changed in ({"seeds": [0, 1, 2]}, {"rates": [0.1, 0.03, 0.02]}, {"train_size": 1000}, {"norm": "weight"}):
        assert rows(run(**{"norm": "batch", **changed})) != first


def test_a_member_does_not_depend_on_the_others():
    alone, among = run(seeds=[1], rates=[0.03]), run()
    for own, other in zip(alone, among, strict=True):
        assert own["loss"][0] == pytest.approx(other["loss"][1], rel=1e-4)


def test_one_seed_at_several_rates_sees_the_same_data():
    """Before its first step it has the same loss; and at rates that move nothing, ever after."""
    first = run()[0]["loss"]
    assert first[0] == pytest.approx(first[2], rel=1e-5)
    assert first[0] != pytest.approx(first[1], rel=1e-3)
    for record in run(rates=[1e-30, 1e-30, 1e-29]):
        assert record["loss"][0] == pytest.approx(record["loss"][2], rel=1e-5)
        assert record["test_accuracy"][0] == record["test_accuracy"][2]


def test_a_member_that_diverges_is_marked_and_the_others_go_on():
    records = run(rates=[0.1, 1e30, 0.1])
    assert records[-1]["diverged"] == [False, True, False]
    assert [math.isfinite(loss) for loss in records[-1]["loss"]] == [True, False, True]
    clean = run(rates=[0.1, 0.1, 0.1])
    for own, other in zip(clean, records, strict=True):
        for key in ("loss", "test_accuracy"):
            assert [own[key][i] for i in (0, 2)] == [other[key][i] for i in (0, 2)]
    first = next(record["step"] for record in records if record["diverged"][1])
    assert all(record["diverged"][1] == (record["step"] >= first) for record in records)


def test_compiled_agrees_with_eager():
    """With all that is drawn anew at each step."""
    settings = {"seeds": [0, 1], "rates": [0.1, 0.03], "steps": 20, "hidden": (8,), "noise": (0.0, 0.5), "dropout": 0.2}
    for own, other in zip(run(**settings), run(**settings, compile=True), strict=True):
        assert own["step"] == other["step"]
        np.testing.assert_allclose(other["loss"], own["loss"], rtol=1e-3)
        np.testing.assert_allclose(other["test_accuracy"], own["test_accuracy"], atol=0.01)


@pytest.mark.parametrize(("every", "steps"), [(1, 5), (4, 12), (4, 13), (50, 40)])
def test_records_every_so_many_updates_and_at_the_end(every, steps):
    at = [record["step"] for record in run(every=every, steps=steps)]
    assert at == sorted({*range(every, steps + 1, every), steps})


def test_dense_records_are_the_same_run():
    """So that a time to a threshold can be read to one update."""
    dense = {record["step"]: record for record in run(steps=200, every=1)}
    for record in run(steps=200):
        assert record["test_accuracy"] == dense[record["step"]]["test_accuracy"]


def test_epochs_count_passes_through_the_training_set():
    assert rows(run(budget="epochs", steps=2, train_size=200, batch=50)) == rows(run(steps=8, train_size=200, batch=50))
    assert run(budget="epochs", steps=3, batch=None)[-1]["step"] == 3


def test_every_set_and_mode_is_evaluated_where_asked():
    records = run(evaluate=("test", "train", "batch"), norm="batch", steps=120)
    values = {
        f"{name}_{what}{mode}" for name in ("test", "train") for what in ("loss", "accuracy") for mode in ("", "_batch")
    }
    assert all(set(record) == {"step", "loss", "diverged", *values} for record in records)
    first, last = records[0], records[-1]
    # After one update running statistics are still near their start; after many both modes agree.
    assert np.min(np.subtract(first["train_loss_batch"], first["train_loss"])) < -0.01
    np.testing.assert_allclose(last["train_accuracy_batch"], last["train_accuracy"], atol=0.05)


def test_without_a_norm_over_the_batch_both_modes_are_one():
    """With batches that divide both sets."""
    (record,) = run(evaluate=("train", "batch"), norm="layer", steps=1, batch=2)
    assert record["train_accuracy_batch"] == pytest.approx(record["train_accuracy"])
    assert record["train_loss_batch"] == pytest.approx(record["train_loss"], rel=1e-4)


def test_statistics_taken_anew_repair_running_ones_that_hardly_move():
    stale = {"norm": "batch", "norm_kwargs": {"momentum": 1e-4}, "steps": 100, "seeds": [0, 1], "rates": [0.1, 0.1]}
    for source in ("train", "test"):
        last = run(**stale, reestimate=source)[-1]
        assert np.max(last["test_loss_reestimated"]) < 0.5 * np.min(last["test_loss"])
        assert np.max(last["test_accuracy"]) < 0.92 < np.min(last["test_accuracy_reestimated"])
    assert "test_accuracy_reestimated" not in run(**stale)[-1]


def test_statistics_of_shifted_test_inputs_help_with_the_shift():
    settings = {
        "norm": "batch",
        "steps": 150,
        "rates": [0.1] * 3,
        "test_shift": 1.0,
        "test_gain": 0.5,
        "reestimate": "test",
    }
    last = run(**settings)[-1]
    assert np.mean(last["test_accuracy"]) + 0.1 < np.mean(last["test_accuracy_reestimated"])
    assert np.mean(last["train_accuracy"]) > 0.9


def test_regression_records_a_loss_and_learns():
    records = run(dataset="teacher", activation="tanh", steps=300, rates=[0.05] * 3, hidden=(32, 32))
    assert set(records[-1]) == {"step", "loss", "test_loss", "train_loss", "diverged"}
    assert records[0]["test_loss"][0] > 0.6
    assert max(records[-1]["test_loss"]) < 0.25


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"dataset": "digits_image", "norm": "batch", "hidden": (32,), "steps": 100}, 0.9),
        ({"dataset": "digits_rows", "cell": "tanh", "norm": "layer", "hidden": (32,), "steps": 100}, 0.7),
        ({"dataset": "signals", "hidden": (64, 64), "norm": "batch"}, 0.6),
        ({"dataset": "spirals", "hidden": (32, 32, 32), "optimizer": "adam", "rates": [0.01, 0.01]}, 0.9),
    ],
    ids=lambda value: value["dataset"] if isinstance(value, dict) else "",
)
def test_every_data_set_of_classes_is_learnt(settings, least):
    last = run(**{"seeds": [0, 1], "rates": [0.1, 0.1], "steps": 250, "every": 250, **settings})[-1]
    assert np.mean(last["test_accuracy"]) > least


GRID = {
    "init_scale": (0.5, 1.0, 2.0),
    "momentum": (0.0, 0.5, 0.9),
    "weight_decay": (0.0, 0.01, 0.1),
    "clip": (0.1, 1.0, 10.0),
    "label_noise": (0.0, 0.2, 0.5),
    "dropout": (0.0, 0.2, 0.5),
    "alpha_dropout": (0.0, 0.1, 0.2),
    "noise": (0.0, 0.5, 1.0),
    "gamma": (0.1, 1.0, 2.0),
}


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_members_of_a_grid_are_the_runs_of_one_setting_each(norm):
    settings = {"norm": norm, "steps": 8, "hidden": (8,), "batch": 16}
    together = run(**settings, **GRID)
    for i in range(3):
        alone = run(
            **settings,
            **{name: values[i] for name, values in GRID.items()},
            seeds=[FINE["seeds"][i]],
            rates=[FINE["rates"][i]],
        )
        for own, other in zip(alone, together, strict=True):
            assert own["loss"][0] == pytest.approx(other["loss"][i], rel=1e-3)
            assert own["test_loss"][0] == pytest.approx(other["test_loss"][i], rel=1e-3)


@pytest.mark.parametrize("name", GRID)
def test_each_of_them_changes_the_run(name):
    settings = {"norm": "batch", "steps": 8, "hidden": (8,), "batch": 16, "seeds": [0, 0, 0], "rates": [0.1] * 3}
    losses = run(**settings, **{name: GRID[name]})[-1]["test_loss"]
    assert len(set(losses)) == 3
