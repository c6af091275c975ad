"""Snapshots: each histogram against a second way to its values, what is left as it is, and when they are due."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rlnorm.supervised
from rlnorm.networks import network
from rlnorm.nn import set_mode
from rlnorm.probes import Moments, State, Times, formulas, snapshot
from rlnorm.probes.snapshots import BINS, DISTRIBUTED, histogram
from tests.dqn.watching import run as run_dqn

DQN, SUPERVISED = "rlnorm.dqn.probing.snapshot", "rlnorm.supervised.probing.snapshot"


def run_supervised(**changes: Any) -> list[dict[str, Any]]:
    fixed = {"dataset": "spirals", "seeds": (0, 1), "rates": (0.1, 0.05), "hidden": (12, 8), "norm": "batch"}
    return list(rlnorm.supervised.train(**{**fixed, "steps": 12, "probes": 6, **changes}))


def snapshots(records: list[dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    return [record["snapshot"] for record in records if "snapshot" in record]


def taken(model: nn.Module, x: Tensor) -> Mapping[str, Mapping[str, Any]]:
    gradients = {name: 2 * parameter for name, parameter in State.of(model).parameters.items()}
    return snapshot(model, State.of(model), x, gradients=gradients)


@pytest.fixture
def trained(rng: torch.Generator) -> tuple[nn.Sequential, Tensor]:
    """A network with batch norm that has seen some batches, and another batch."""
    model = network((4,), 3, hidden=(6, 5), norm="batch")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
        for _ in range(20):
            set_mode(model, "train")(1 + 2 * torch.randn(32, 4, generator=rng))
    return model, torch.randn(32, 4, generator=rng)


def test_a_histogram_counts_every_finite_value_once_between_the_least_and_the_largest(rng: torch.Generator):
    values = torch.randn(7, 50, generator=rng)
    found = histogram(values)
    assert found is not None
    assert (found["min"], found["max"]) == (pytest.approx(values.min().item()), pytest.approx(values.max().item()))
    assert found["counts"] == torch.histc(values.double(), BINS).tolist()
    holed = torch.cat([values.flatten(), torch.tensor([torch.nan, torch.inf, -torch.inf])])
    assert histogram(holed) == found
    assert histogram(torch.full((5,), 0.1)) == {"min": 0.100000001, "max": 0.100000001, "counts": [5]}
    assert histogram(torch.tensor([torch.nan])) is None


def test_everything_is_what_the_network_itself_gives(trained: tuple[nn.Sequential, Tensor]):
    model, x = trained
    found = taken(model, x)
    before, state = {}, dict(model.named_parameters())
    h = x
    with torch.no_grad():
        for name, module in set_mode(model, "eval").named_children():
            before[name], h = h, module(h)
            if name in ("norm1", "norm2"):
                assert found[name]["before"] == histogram(before[name])
                assert found[name]["after"] == histogram(h)
                assert found[name]["gamma"] == histogram(state[f"{name}.weight"])
                assert found[name]["beta"] == histogram(state[f"{name}.bias"])
            elif f"{name}.weight" in state:
                assert found[name] == {"gradient": histogram(2 * state[f"{name}.weight"])}
    own_statistics, h = {}, x
    with torch.no_grad():
        for name, module in set_mode(model, "batch").named_children():
            own_statistics[name], h = h, module(h)
    for name in ("norm1", "norm2"):
        own, running = own_statistics[name], {of: model.get_buffer(f"{name}.running_{of}") for of in ("mean", "var")}
        mean, var = own.mean(0), own.var(0)
        offset = (mean - running["mean"]) / (running["var"] + formulas.EPS).sqrt()
        spread = 0.5 * ((var + formulas.EPS) / (running["var"] + formulas.EPS)).log()
        for what, values in (("mean_offset", offset), ("spread_offset", spread)):
            expected = histogram(values)
            assert expected is not None
            assert found[name][what]["min"] == pytest.approx(expected["min"], rel=1e-4)
            assert found[name][what]["max"] == pytest.approx(expected["max"], rel=1e-4)


def test_gaps_are_the_root_mean_square_of_offsets(rng: torch.Generator):
    now, then = (Moments(torch.randn(9, generator=rng), torch.rand(9, generator=rng)) for _ in range(2))
    for gap, offset in ((formulas.mean_gap, formulas.mean_offset), (formulas.spread_gap, formulas.spread_offset)):
        torch.testing.assert_close(gap(now, then), offset(now, then).square().mean().sqrt())


def test_the_page_of_probes_says_what_each_histogram_is():
    page = (Path(__file__).parents[1] / "docs" / "probes.md").read_text("utf-8")
    for name, what in DISTRIBUTED.items():
        assert f"| `{name}` | {what} |" in page


def test_the_network_stays_as_it_is(trained: tuple[nn.Sequential, Tensor]):
    model, x = trained
    set_mode(model, "track")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    taken(model, x)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert {module.mode for name, module in model.named_modules() if name.startswith("norm")} == {"track"}
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), drawn)


@pytest.mark.parametrize(
    ("settings", "sites"),
    [
        ({"norm": "none"}, {"norm1": {"before"}, "norm2": {"before"}}),
        ({"norm": "weight"}, {"norm1": {"before"}, "norm2": {"before"}}),
        ({"norm": "batch", "sites": ("last",)}, {"norm1": {"before"}, "norm2": DISTRIBUTED.keys() - {"gradient"}}),
        ({"norm": "mean_only"}, {"norm1": {"before", "after", "beta", "mean_offset"}}),
        ({"norm": "layer", "place": "split"}, {"norm1": {"before", "after"}, "affine1": {"gamma", "beta"}}),
        ({"norm": "rms", "place": "after"}, {"norm2": {"before", "after", "gamma"}}),
        ({"norm": "group", "channels": (4,), "hidden": (5,)}, {"norm1": {"before", "after", "gamma", "beta"}}),
    ],
    ids=lambda value: str(value) if "norm" in value else "",
)
def test_every_place_has_what_is_there(settings: dict[str, Any], sites: dict[str, set[str]], rng: torch.Generator):
    shape = (2, 6, 6) if "channels" in settings else (4,)
    found = taken(network(shape, 3, **{"hidden": (6, 5), **settings}), torch.randn(8, *shape, generator=rng))
    for site, what in sites.items():
        assert found[site].keys() == what
    assert {layer for layer, own in found.items() if "gradient" in own} >= {"linear2", "output"}


@pytest.mark.parametrize(
    ("times", "steps", "at"),
    [
        (0, 100, []),
        (1, 100, [1]),
        (2, 100, [1, 51]),
        (3, 9, [1, 4, 7]),
        (20, 100, [1, 26, 51, 76, 96]),
        (1, 1, []),
        (9, 3, [1, 2, 3]),
    ],
)
def test_snapshots_come_with_the_first_probe_the_last_and_evenly_between(times: int, steps: int, at: list[int]):
    run = Times(times, steps)
    due = {step: run.due(step) for step in range(1, steps + 1)}
    assert [step for step, (_, own) in due.items() if own] == at
    assert all(probe for probe, own in due.values() if own)
    assert sum(probe for probe, _ in due.values()) == min(times, steps)


def test_learning_and_every_other_record_are_the_same_to_the_bit_without(monkeypatch):
    runs = {DQN: lambda: run_dqn(norm="batch", probes=8, starts=0), SUPERVISED: run_supervised}
    for name, run in runs.items():
        found, again = run(), run()
        assert json.dumps(found) == json.dumps(again)
        assert len(snapshots(found)) == 5
        with monkeypatch.context() as without:
            without.setattr(name, lambda *_, **__: {})
            bare = run()
        for record in (*found, *bare):
            record.pop("snapshot", None)
        assert json.dumps(found) == json.dumps(bare)


def test_it_is_of_the_first_member_before_the_update():
    records = run_supervised(probes=1, steps=2, rates=(0.1, 0.05))
    alone = run_supervised(probes=1, steps=2, seeds=(0,), rates=(0.1,))
    (found,), (own,) = snapshots(records), snapshots(alone)
    assert found["norm1"]["gamma"] == {"min": 1, "max": 1, "counts": [12]}
    assert found.keys() == own.keys()
    for layer, what in own.items():
        for name, one in what.items():
            assert found[layer][name]["max"] == pytest.approx(one["max"], rel=1e-3, abs=1e-6)


def test_what_has_no_finite_value_is_left_out():
    model = network((4,), 3, hidden=(6,), norm="layer")
    model.get_parameter("linear1.weight").data.fill_(torch.nan)
    assert taken(model, torch.ones(2, 4)).keys() == {"norm1", "output"}
    assert taken(model, torch.ones(2, 4))["norm1"].keys() == {"gamma", "beta"}


def test_they_are_part_of_the_group_of_layers():
    assert not snapshots(run_supervised(measure=("line",)))


def test_they_add_less_than_a_third_to_what_is_kept_of_a_run():
    records = run_supervised(seeds=range(16), rates=(0.1,) * 16, steps=100, hidden=(16, 16), every=10)
    size = len(json.dumps(records))
    kept = len(json.dumps([{k: v for k, v in record.items() if k != "snapshot"} for record in records]))
    assert np.isclose(size, kept, rtol=0.3)
