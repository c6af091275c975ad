"""Probes of supervised runs: each against a second way to its value, and what is known of networks at their start."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import rlnorm.supervised
from rlnorm.nn import set_mode
from rlnorm.probes import NETWORK, PROBES
from rlnorm.supervised.bodies import build
from rlnorm.supervised.data import Data
from rlnorm.supervised.learners import Learners
from rlnorm.supervised.probing import OWN_PROBES, Probing, explained
from rlnorm.supervised.settings import MEASURES, Settings

SEEDS, RATES, BATCH = (0, 1), (0.1, 0.05), 32
Values = dict[str, dict[str, list[float]]]


def made(groups: tuple[str, ...], rates: tuple[float, ...] = RATES, **settings: Any) -> tuple[Probing, Learners, Data]:
    members = {"seeds": SEEDS, "rates": rates, "steps": 1}
    own = Settings(**{**members, "dataset": "digits", "hidden": (12, 8), "batch": BATCH, "momentum": 0.0, **settings})
    data = Data(own)
    learners = Learners(
        lambda: build(own, data.shape, data.outputs, BATCH),
        SEEDS,
        rates,
        momentum=0.0,
        init=own.init,
        init_scale=own.init_scale,
    )
    return Probing(learners, data, list(groups), times=1, updates=1, batch=BATCH), learners, data


def probed(*groups: str, **settings: Any) -> Values:
    probing, _, data = made(groups, **settings)
    probing.update(1, *data.train(next(data.batches(BATCH, 1))))
    return probing.take()["probes"]


def run(**settings: Any) -> list[dict[str, Any]]:
    fixed = {"dataset": "digits", "seeds": SEEDS, "rates": RATES, "hidden": (12, 8), "batch": BATCH}
    return list(rlnorm.supervised.train(**{**fixed, **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "batch", "noise": 0.5, "dropout": 0.2},
        {"norm": "none", "dataset": "teacher"},
        {"norm": "layer", "place": "after", "activation": "sigmoid"},
        {"norm": "weight_mean_only", "place": "split"},
        {"norm": "batch", "dataset": "digits_image", "hidden": (8,)},
        {"norm": "batch", "dataset": "digits_rows", "cell": "tanh", "hidden": (6,), "per_step": True},
    ],
    ids=str,
)
def test_probes_have_names_known_beforehand_and_leave_the_run_as_it_is(settings):
    records, without = run(**settings, steps=6, probes=2, measure=MEASURES), run(**settings, steps=6)
    found = [record.pop("probes") for record in records if "probes" in record]
    assert len(found) == 2
    assert len([record.pop("snapshot") for record in records if "snapshot" in record]) == 2
    assert json.dumps(records) == json.dumps(without)
    names = {name for values in found for probes in values.values() for name in probes}
    assert names <= {**PROBES, **OWN_PROBES}.keys()
    for values in found:
        for probes in values.values():
            for numbers in probes.values():
                assert len(numbers) == 2
                assert np.isfinite(numbers).all()


def test_every_probe_is_taken_somewhere():
    records = run(norm="batch", steps=4, probes=2, measure=MEASURES)
    names = {name for record in records for probes in record.get("probes", {}).values() for name in probes}
    assert set(OWN_PROBES) <= names
    assert {"gradient_norm", "weight_norm", "effective_rate", "dead", "mode_gap", "mean_gap"} <= names


@pytest.mark.parametrize(("probes", "steps", "at"), [(0, 6, []), (1, 6, [1]), (3, 6, [1, 3, 5]), (9, 3, [1, 2, 3])])
def test_probes_are_taken_at_the_first_update_of_each_part(probes, steps, at):
    assert [record["step"] for record in run(steps=steps, probes=probes) if "probes" in record] == at


def test_the_change_of_gradients_is_that_of_lower_layers_moved_by_hand():
    probing, learners, data = made(("below",), norm="batch")
    x, targets = data.train(next(data.batches(BATCH, 1)))
    before = [set_mode(learners.population.member(i), "batch") for i in range(2)]
    probing.update(1, x, targets)
    values = probing.take()["probes"]
    assert set(values) == {"linear2", "output"}
    for i, network in enumerate(before):
        after = dict(learners.population.member(i).named_parameters())

        def gradient(name: str, network=network, i: int = i):
            loss = cross_entropy(network(x[i]), targets[i])
            return torch.autograd.grad(loss, network.get_parameter(name))[0]

        first = {name: gradient(f"{name}.weight") for name in ("linear2", "output")}
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.startswith(("linear1", "norm1")):
                    parameter.copy_(after[name])
        second = gradient("linear2.weight")
        change = ((second - first["linear2"]).norm() / first["linear2"].norm()).item()
        assert values["linear2"]["gradient_change"][i] == pytest.approx(change, rel=2e-3)
        cosine = torch.cosine_similarity(second.flatten(), first["linear2"].flatten(), dim=0).item()
        assert values["linear2"]["gradient_cosine"][i] == pytest.approx(cosine, abs=1e-3)


def test_nothing_changes_and_nothing_drifts_where_nothing_moves():
    values = probed("below", rates=(1e-30, 1e-30), norm="batch")
    for layer in ("linear2", "output"):
        assert values[layer]["gradient_change"] == [0, 0]
        assert values[layer]["gradient_cosine"] == pytest.approx([1, 1], abs=1e-3)
    records = run(steps=4, probes=2, norm="batch", rates=(1e-30, 1e-30))
    last = [record["probes"] for record in records if "probes" in record][-1]
    for layer in ("linear2", "activation2", "output"):
        assert last[layer]["mean_drift"] == last[layer]["spread_drift"] == [0, 0]
    moved = [record["probes"] for record in run(steps=4, probes=2, norm="batch") if "probes" in record][-1]
    assert min(moved["output"]["mean_drift"]) > 0.01
    # The data do not move.
    assert moved["linear1"]["mean_drift"] == [0, 0]


def test_moments_are_those_in_training_mode():
    values = probed("layers", norm="batch", activation="identity")
    for layer in ("activation1", "activation2", "output"):
        assert values[layer]["input_mean"] == pytest.approx([0, 0], abs=1e-4)
        assert values[layer]["input_std"] == pytest.approx([1, 1], rel=1e-3)


def test_scales_and_shifts_and_the_distance_from_the_identity():
    values = probed("layers", norm="batch")
    assert values["norm1"]["gamma_norm"] == pytest.approx([12**0.5] * 2, rel=1e-3)
    assert values["norm1"]["beta_norm"] == values["norm1"]["gamma_change"] == [0, 0]
    assert min(values["norm1"]["identity_distance"]) > 0.1
    alone = probed("layers", norm="scale_shift")
    assert alone["norm1"]["identity_distance"] == [0, 0]


def test_batch_statistics_vary_as_means_of_so_many_examples():
    """The mean of B independent examples has the standard deviation of one over sqrt(B)."""
    for batch in (8, 32):
        (record,) = run(steps=1, probes=1, measure=("batches",), batch=batch, norm="none", dataset="teacher")
        for spread in record["probes"]["linear1"]["mean_spread"]:
            assert spread == pytest.approx(batch**-0.5, rel=0.2)


def test_outputs_depend_on_the_rest_of_the_batch_under_batch_norm_alone():
    for norm in ("none", "layer", "weight"):
        assert max(probed("batches", norm=norm)[NETWORK]["output_spread"]) < 1e-3
    small = run(steps=1, probes=1, measure=("batches",), batch=4, norm="batch")[0]["probes"][NETWORK]["output_spread"]
    large = run(steps=1, probes=1, measure=("batches",), batch=128, norm="batch")[0]["probes"][NETWORK]["output_spread"]
    assert min(small) > 2 * max(large) > 0.01


def test_linear_maps_are_linear_and_bent_ones_are_not():
    linear = probed("linearity", norm="layer", activation="identity", sites=())
    assert linear["activation1"]["linearity"] == pytest.approx([1, 1], abs=1e-3)
    assert probed("linearity", activation="identity")[NETWORK]["linearity"] == pytest.approx([1, 1], abs=1e-3)
    small, large = (
        probed("linearity", activation="sigmoid", init_scale=s)["activation2"]["linearity"] for s in (0.1, 30)
    )
    assert min(small) > 0.99
    assert max(large) < 0.9
    relu = probed("linearity", init="he")[NETWORK]["linearity"]
    assert 0.3 < min(relu) < max(relu) < 0.99


def test_explained_variance_is_that_of_least_squares(rng):
    x, noise = torch.randn(200, 3, generator=rng).double(), torch.randn(200, 2, generator=rng).double()
    x, noise = x - x.mean(0), noise - noise.mean(0)
    y = x[:, :2] + noise
    fitted = x @ torch.linalg.lstsq(x, y).solution
    expected = 1 - (y - fitted).square().sum() / y.square().sum()
    torch.testing.assert_close(explained(x, y), expected, rtol=1e-5, atol=0)
    assert explained(x, 3 * x[:, :1]).item() == pytest.approx(1, abs=1e-5)


def first_gradients(depth: int, norm: str, **settings: Any) -> tuple[float, float]:
    """Mean over members of the gradient norm of the first and of the last hidden layer at the start."""
    (record,) = run(
        steps=1, probes=1, hidden=(48,) * depth, norm=norm, batch=128, rates=(1e-6,) * 3, seeds=(0, 1, 2), **settings
    )
    first, last = (float(np.mean(record["probes"][f"linear{i}"]["gradient_norm"])) for i in (1, depth))
    return first, last


def test_gradients_of_plain_batch_norm_networks_explode_with_depth():
    """By about 1.2 a layer towards the first, for ReLU. Source: Yang et al. 2019, arXiv:1902.08129."""
    ratios = {depth: np.divide(*first_gradients(depth, "batch", init="he")) for depth in (6, 13, 20)}
    assert 1.1 < (ratios[20] / ratios[6]) ** (1 / 14) < 1.35
    assert ratios[6] < ratios[13] < ratios[20]
    assert np.divide(*first_gradients(20, "layer", init="he")) < 0.3 * ratios[20]


def test_without_a_norm_xavier_fades_in_deep_relu_networks_and_he_does_not():
    """He et al. 2015, arXiv:1502.01852, fig. 3: a factor sqrt(1/2) a layer, with depth 30."""
    he, xavier = (np.divide(*first_gradients(30, "none", init=init)) for init in ("he", "xavier"))
    deviations = {
        init: run(steps=1, probes=1, hidden=(64,) * 30, init=init)[0]["probes"]["output"]["input_std"]
        for init in ("he", "xavier")
    }
    ratio = np.divide(deviations["xavier"], deviations["he"])
    np.testing.assert_allclose(ratio, 2**-15, rtol=0.1)
    assert 0.01 < he < 100
    assert 0.01 < xavier < 100, "both ends of the chain fade alike"


def test_batch_norm_is_faster_steadier_in_its_inputs_and_needs_neither_for_the_other():
    """Three layers of 100 sigmoids on batches of 60, after Ioffe & Szegedy 2015, sec. 4.1; with noise behind the norms
    inputs move, and it learns as fast (Santurkar et al. 2018, sec. 2.2)."""
    settings = {"hidden": (100,) * 3, "activation": "sigmoid", "init": "xavier", "batch": 60, "momentum": 0.0}
    arms = {"none": {}, "batch": {"norm": "batch"}, "noisy": {"norm": "batch", "noise": 0.5}}
    accuracy, drift = dict[str, float](), dict[str, float]()
    for name, arm in arms.items():
        records = run(**settings, **arm, rates=(0.1, 0.1), steps=150, every=50, probes=3)
        accuracy[name] = min(records[-1]["test_accuracy"]) if arm else max(records[-1]["test_accuracy"])
        drift[name] = float(np.mean(records[-1]["probes"]["activation3"]["mean_drift"]))
    assert accuracy["none"] < 0.5 < 0.9 < min(accuracy["batch"], accuracy["noisy"])
    assert drift["batch"] < 0.1 * drift["noisy"] < drift["none"]


def test_selu_keeps_moments_over_fifty_layers_and_relu_does_not():
    """Klambauer et al. 2017, arXiv:1706.02515: with lecun's init, from standardized inputs."""
    settings = {"dataset": "teacher", "hidden": (100,) * 50, "init": "lecun", "batch": 128, "steps": 1, "probes": 1}
    selu = run(**settings, activation="selu")[0]["probes"]
    for number in range(2, 51):
        mean, std = (selu[f"linear{number}"][name] for name in ("input_mean", "input_std"))
        second = np.add(np.square(mean), np.square(std))
        assert 0.5 < second.min() < second.max() < 2
    relu = run(**settings, activation="relu")[0]["probes"]
    assert max(relu["linear50"]["input_std"]) < 1e-5


def test_a_member_that_diverges_spoils_no_probe_of_another():
    settings = {"norm": "batch", "steps": 4, "probes": 2, "measure": MEASURES}
    clean, broken = (
        [r["probes"] for r in run(**settings, rates=(rate, 0.05)) if "probes" in r] for rate in (0.1, 1e30)
    )
    for values, others in zip(clean, broken, strict=True):
        for layer, probes in values.items():
            for name, numbers in probes.items():
                assert others[layer][name][1] == numbers[1]
    assert np.isnan(broken[1][NETWORK]["hessian_top"][0])


def test_a_batch_of_one_is_probed_where_no_norm_needs_more():
    (record,) = run(norm="layer", steps=1, batch=1, train_size=3, probes=1, measure=MEASURES)
    assert {"linear1", "norm2", "output", NETWORK} <= record["probes"].keys()
