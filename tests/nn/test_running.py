"""A norm of one's own in one file, known to every tool; and attributes that are read at each call, as torch's are."""

import itertools
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

import rlnorm.nn
from rlnorm import probes
from rlnorm.nn import (
    MODES,
    Reparametrized,
    RunningNorm,
    check,
    convert,
    fold,
    load_norm,
    no_decay_parameters,
    running,
    set_mode,
    update_bn,
)
from rlnorm.nn._channels import ChannelNorm
from rlnorm.nn.laws import LAWS

EXAMPLE = textwrap.dedent(str(running.__doc__)[str(running.__doc__).index("    class MeanSquareNorm") :])
OWN = f"""
from rlnorm.nn import Norm, RunningNorm

{EXAMPLE}
NORM = Norm("ms", {{0: MeanSquareNorm}}, invariant_to=frozenset({{"channel scale"}}), couples_batch=True)
"""


@pytest.fixture
def own(tmp_path: Path):
    file = tmp_path / "ms.py"
    file.write_text(OWN)
    return file


def model_of(own: Path, rng: torch.Generator) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 4), load_norm(own).make(4), nn.ReLU()).double()
    with torch.no_grad():
        model(3 * torch.randn(64, 3, generator=rng).double() + 1)
    return model


def test_a_norm_of_ones_own_obeys_the_laws(own):
    report = check.check_norm(own)
    assert report.holds, str(report)
    assert len(report.results) == len(LAWS)


def test_update_bn_knows_a_norm_of_ones_own(own, rng):
    model = model_of(own, rng)
    batches = list(torch.randn(5, 8, 3, generator=rng).double())
    assert update_bn(batches, model.eval()) == 1
    seen = torch.cat([model[0](batch) for batch in batches])
    torch.testing.assert_close(model.get_buffer("1.running_ms"), seen.square().mean(0).detach())
    assert model.get_buffer("1.num_batches_tracked") == 5


def test_a_norm_of_ones_own_can_forget(own, rng):
    norm = model_of(own, rng)[1]
    assert isinstance(norm, RunningNorm)
    norm.reset_parameters()
    fresh = load_norm(own).make(4).double()
    for key, value in fresh.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[key], value)


def test_fold_knows_a_norm_of_ones_own(own, rng):
    model = model_of(own, rng)
    with pytest.raises(ValueError, match=r"cannot fold 1 \(MeanSquareNorm\): it is in mode 'train', expected 'eval'"):
        fold(model)
    x = torch.randn(8, 3, generator=rng).double()
    folded = fold(model.eval(), notice=pytest.fail)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(m, RunningNorm) for m in folded.modules())


def test_convert_and_decay_know_a_norm_of_ones_own(own, rng):
    model = model_of(own, rng)
    assert type(convert(model, {str(own): "batch"}).get_submodule("1")) is rlnorm.nn.BatchNorm1d
    assert any(p is model.get_parameter("1.weight") for p in no_decay_parameters(model))


def test_probes_know_a_norm_of_ones_own(own, rng):
    model = model_of(own, rng)
    x = torch.randn(16, 3, generator=rng).double()
    found = probes.measure(model, x)["1"]
    expected = (set_mode(model, "batch")[:2](x) - set_mode(model, "eval")[:2](x)).norm() / model[:2](x).norm()
    assert found == {"mode_gap": pytest.approx(expected.item())}


@pytest.mark.parametrize("cls", [RunningNorm, ChannelNorm, Reparametrized])
def test_abstract_norms_cannot_be_made(cls):
    with pytest.raises(TypeError, match="abstract"):
        cls(3)


SHAPES = {"BatchNorm1d": (8, 3), "BatchNorm2d": (4, 3, 2, 2), "InstanceNorm1d": (4, 3, 5)}
DROPPED = {
    "nothing": (),
    "the counter": ("num_batches_tracked",),
    "the statistics": ("running_mean", "running_var"),
    "all state": ("running_mean", "running_var", "num_batches_tracked"),
}
CASES = [
    *itertools.product(("BatchNorm1d", "BatchNorm2d"), DROPPED, (True, False), (True, False), (0.3, None)),
    # The others: in the table of differences.
    *itertools.product(("InstanceNorm1d",), ("nothing", "the counter"), (True,), (True,), (0.3,)),
    *itertools.product(("InstanceNorm1d",), DROPPED, (False,), (False,), (0.3,)),
]


@pytest.mark.parametrize(("kind", "dropped", "built", "track", "momentum"), CASES)
def test_attributes_are_read_at_each_call_as_torch_reads_them(kind, dropped, built, track, momentum, rng):
    shape = SHAPES[kind]
    norms = [getattr(lib, kind)(3, momentum=0.1, track_running_stats=built) for lib in (rlnorm.nn, nn)]
    for norm in norms:
        norm(torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 2 + 1)
        norm.track_running_stats, norm.momentum, norm.eps = track, momentum, 1e-2
        for name in DROPPED[dropped]:
            setattr(norm, name, None)
    ours, theirs = norms
    for training in (True, False, True):
        x = torch.randn(shape, generator=rng) * 50 + 100
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x), rtol=1e-5, atol=1e-5)
        for name, buffer in theirs.named_buffers():
            if name != "num_batches_tracked" or kind.startswith("Batch"):
                torch.testing.assert_close(ours.get_buffer(name), buffer)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("mode", MODES)
def test_statistics_that_do_not_track_stay(kind, mode, rng):
    norm = set_mode(getattr(rlnorm.nn, kind)(3, track_running_stats=True), mode)
    norm.track_running_stats = False
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    norm(torch.randn(SHAPES[kind], generator=rng) * 50 + 100)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


@pytest.mark.parametrize("lib", [rlnorm.nn, nn])
def test_update_bn_leaves_norms_alone_that_do_not_track(lib, rng):
    norm = lib.BatchNorm1d(3)
    norm(torch.randn(8, 3, generator=rng) + 5)
    norm.track_running_stats = False
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    assert update_bn([torch.randn(8, 3, generator=rng)], norm) == 0
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


@pytest.mark.parametrize("lib", [rlnorm.nn, nn])
def test_update_bn_averages_without_a_counter(lib, rng):
    norm = lib.BatchNorm1d(3)
    norm.num_batches_tracked = None
    batches = list(torch.randn(5, 8, 3, generator=rng) + 3)
    assert update_bn(batches, norm) == 1
    torch.testing.assert_close(norm.running_mean, torch.stack(batches).mean((0, 1)))


@pytest.mark.parametrize("lib", [rlnorm.nn, nn])
def test_probes_measure_statistics_that_do_not_track(lib, rng):
    tracking, not_tracking = (nn.Sequential(nn.Linear(3, 3), lib.BatchNorm1d(3)) for _ in range(2))
    not_tracking.load_state_dict(tracking.state_dict())
    vars(not_tracking[1])["track_running_stats"] = False
    x = torch.randn(16, 3, generator=rng)
    found = probes.measure(not_tracking, x)
    assert found["1"] == pytest.approx(probes.measure(tracking, x)["1"])
    assert found["1"]["mean_gap"] > 0


@pytest.mark.parametrize(("source", "target"), [("batch", "torch.batch"), ("torch.batch", "batch")])
@pytest.mark.parametrize("dropped", DROPPED)
@pytest.mark.parametrize("track", [True, False])
def test_convert_carries_attributes_over_as_they_are(source, target, dropped, track, rng):
    norm = (nn.BatchNorm1d if "torch" in source else rlnorm.nn.BatchNorm1d)(3)
    norm(torch.randn(8, 3, generator=rng) * 2 + 1)
    norm.track_running_stats = track
    for name in DROPPED[dropped]:
        setattr(norm, name, None)
    other = convert(norm, {source: target})
    for training in (False, True, False):
        x = torch.randn(8, 3, generator=rng) * 50 + 100
        torch.testing.assert_close(other.train(training)(x), norm.train(training)(x), rtol=1e-5, atol=1e-5)
        if dropped != "the statistics":
            assert [name for name, _ in other.named_buffers()] == [name for name, _ in norm.named_buffers()]
