import importlib
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import rlnorm.supervised
from rlnorm.errors import ConfigError
from rlnorm.networks import initialize, mlp
from rlnorm.nn import NORMS
from rlnorm.tasks.datasets import digits, split
from tests.alone import MLP_NORMS, torch_optimizer

engine = importlib.import_module("rlnorm.supervised.train")  # the package's attribute of that name is the function
_batches = engine._batches

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
            right = network.eval()(data.inputs[of]).argmax(1) == data.labels[of]
        return right.float().mean().item()

    while len(losses) < steps:
        order = stream.permutation(train)
        for at in range(0, len(order) - 63, 64):
            own = order[at : at + 64]
            loss = cross_entropy(network.train()(data.inputs[own]), data.labels[own])
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
    records = run(steps=steps, seeds=[0], rates=[0.1], hidden=())
    at = [record["step"] for record in records]
    assert len(at) == count
    assert at[-1] == steps
    gaps = np.diff([0, *at])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_a_record_has_its_keys_and_is_json():
    records = run(steps=120)
    common = {"step", "loss", "test_accuracy", "diverged"}
    assert all(set(record) == common for record in records[:-1])
    assert set(records[-1]) == {*common, "train_accuracy"}
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


@pytest.mark.parametrize(("size", "batch"), [(20, 5), (23, 5), (7, 7)])
def test_batches_are_epochs_without_repetition(size, batch):
    own = np.stack([np.arange(size), 100 + np.arange(size)])
    streams = [np.random.default_rng(i) for i in range(2)]
    per_epoch = size // batch
    drawn = np.stack([rows.numpy() for rows in _batches(own, batch, 3 * per_epoch + 1, streams)], axis=1)
    assert drawn.shape == (2, 3 * per_epoch + 1, batch)
    for member in range(2):
        epochs = [drawn[member, i * per_epoch : (i + 1) * per_epoch].ravel() for i in range(3)]
        for epoch in epochs:
            assert len(set(epoch)) == per_epoch * batch
            assert set(epoch) <= set(own[member])
        assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(drawn[0] + 100, drawn[1])


def test_train_and_test_sets_are_disjoint_and_of_the_stated_sizes(monkeypatch):
    seen, tests = list[np.ndarray](), list[np.ndarray]()

    def watched(rows, *args):
        seen.append(rows)
        return _batches(rows, *args)

    def watched_split(*args):
        train, test = split(*args)
        tests.append(test)
        return train, test

    monkeypatch.setattr(engine, "_batches", watched)
    monkeypatch.setattr(engine, "split", watched_split)
    run(steps=1)
    run(steps=1, train_size=100)
    whole, part = seen
    assert (whole.shape, part.shape) == ((3, 1438), (3, 100))
    for i in range(3):
        assert len(tests[i]) == 359
        assert set(whole[i]) | set(tests[i]) == set(range(1797))
        assert not set(whole[i]) & set(tests[i])
        assert set(part[i]) <= set(whole[i])
    assert set(tests[0]) == set(tests[2]) != set(tests[1])


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
    settings = {"seeds": [0, 1], "rates": [0.1, 0.03], "steps": 20, "hidden": (8,)}
    for own, other in zip(run(**settings), run(**settings, compile=True), strict=True):
        assert own["step"] == other["step"]
        np.testing.assert_allclose(other["loss"], own["loss"], rtol=1e-3)
        np.testing.assert_allclose(other["test_accuracy"], own["test_accuracy"], atol=0.01)


CASES = [
    ({"dataset": "digit"}, "unknown data set 'digit'. Did you mean 'digits'?"),
    ({"optimizer": "sdg"}, "unknown optimizer 'sdg'. Did you mean 'sgd'?"),
    ({"norm": "layr"}, "unknown norm 'layr'. Did you mean 'layer'?"),
    ({"norm": "instance"}, "norm 'instance' has no form for 0 spatial dimensions"),
    ({"norm": "mean_only", "batch": 1}, "norm 'mean_only' takes statistics over the batch and needs at least 2"),
    ({"place": "afer"}, "unknown place 'afer'. Did you mean 'after'?"),
    ({"activation": "sigmod"}, "unknown activation 'sigmod'. Did you mean 'sigmoid'?"),
    ({"init": "hee"}, "unknown init 'hee'. Did you mean 'he'?"),
    ({"init_scale": float("inf")}, "init_scale must be positive and finite, got inf."),
    ({"hidden": (0,)}, "hidden layers need at least one unit each, got (0,)."),
    ({"steps": 0}, "steps must be at least 1, got 0."),
    ({"batch": 0}, "batch must be at least 1, got 0."),
    ({"batch": 1439}, "a batch of 1439 cannot be drawn from 1438 training examples."),
    ({"train_size": 63}, "a batch of 64 cannot be drawn from 63 training examples."),
    ({"train_size": 0}, "train_size must lie between 1 and 1438 for 'digits', got 0."),
    ({"train_size": 1439}, "train_size must lie between 1 and 1438 for 'digits', got 1439."),
    ({"seeds": [], "rates": []}, "number of seeds must be at least 1, got 0."),
    ({"seeds": [0, -2, 1]}, "seeds must not be negative, got -2."),
    ({"rates": [0.1]}, "one learning rate per seed is needed, got 1 rates for 3 seeds."),
    ({"rates": [0.1, float("nan"), 0.1]}, "learning rates must be positive and finite, got nan."),
]


@pytest.mark.parametrize(("setting", "sentence"), CASES, ids=str)
def test_each_error_is_one_sentence_before_anything_runs(setting, sentence):
    with pytest.raises(ConfigError) as raised:
        next(rlnorm.supervised.train(**{**FINE, **setting}))
    (found,) = raised.value.sentences
    assert found.startswith(sentence)
    assert found.endswith(".")


def test_all_errors_come_at_once():
    assert not list(rlnorm.supervised.errors(**FINE))
    bad = {name: value for settings, _ in CASES for name, value in settings.items()}
    with pytest.raises(ConfigError) as raised:
        run(**{**bad, "norm": "layr", "rates": [], "batch": 0})
    sentences = raised.value.sentences
    assert len(sentences) == len(set(sentences)) == 12
    assert str(raised.value) == "\n".join(sentences)
