"""Norms swapped inside models."""

import itertools

import pytest
import torch
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.nn import (
    NORMS,
    BatchNorm1d,
    BatchNorm2d,
    BatchRenorm1d,
    GroupNorm,
    Identity,
    InstanceNorm1d,
    LayerNorm,
    MapLayerNorm,
    convert,
    set_mode,
)


def mlp(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 6), norm, nn.ReLU(), nn.Sequential(nn.Linear(6, 6)))


def used(model: nn.Module, rng: torch.Generator) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng))
        model(torch.randn(16, 6, generator=rng) + 1)
    return model


@pytest.mark.parametrize("name", ["batch", "layer", "rms", "group"])
@pytest.mark.parametrize("training", [True, False])
def test_to_torchs_and_back_changes_nothing(name, training, rng):
    model = used(mlp(NORMS[name].make(6)), rng).train(training)
    theirs = convert(model, {name: f"torch.{name}"})
    back = convert(theirs, {f"torch.{name}": name})
    x = torch.randn(16, 6, generator=rng)
    expected = model(x)
    assert type(theirs.get_submodule("1")).__module__.startswith("torch.")
    torch.testing.assert_close(theirs(x), expected)
    torch.testing.assert_close(back(x), expected)
    assert type(back.get_submodule("1")) is type(model.get_submodule("1"))
    for key, value in back.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key])


KINDS = ["none", "batch", "layer", "rms", "group", "batch_renorm", "mean_only"]


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(KINDS, 2)))
def test_every_kind_becomes_every_other(source, target, rng):
    converted = convert(used(mlp(NORMS[source].make(6)), rng), {source: target})
    assert type(converted.get_submodule("1")) is type(NORMS[target].make(6))
    assert converted(torch.randn(4, 6, generator=rng)).shape == (4, 6)


def test_settings_are_carried_over():
    model = mlp(BatchNorm1d(6, eps=1e-3, momentum=0.3, bias=False))
    theirs = convert(model, {"batch": "torch.batch"}).get_submodule("1")
    assert isinstance(theirs, nn.BatchNorm1d)
    assert (theirs.eps, theirs.momentum, theirs.bias) == (1e-3, 0.3, None)
    groups = convert(nn.GroupNorm(2, 6, affine=False), {"torch.group": "group"})
    assert isinstance(groups, GroupNorm)
    assert (groups.num_groups, groups.weight) == (2, None)


def test_mode_is_carried_over():
    renorm = convert(set_mode(BatchNorm1d(6), "track"), {"batch": "batch_renorm"})
    assert isinstance(renorm, BatchRenorm1d)
    assert renorm.mode == "track"


def test_statistics_mean_the_same_in_renorm(rng):
    model = used(mlp(BatchNorm1d(6)), rng).eval()
    x = torch.randn(4, 6, generator=rng)
    renorm = convert(model, {"batch": "batch_renorm"})
    torch.testing.assert_close(renorm(x), model(x))
    torch.testing.assert_close(convert(renorm, {"batch_renorm": "batch"})(x), model(x))


def test_the_layer_before_tells_the_form():
    model = nn.Sequential(nn.Conv1d(3, 6, 2), BatchNorm1d(6), nn.Flatten(), nn.Linear(6, 6), BatchNorm1d(6))
    converted = convert(model, {"batch": "layer"})
    assert [type(m) for m in converted.children()][1::3] == [MapLayerNorm, LayerNorm]
    instance = convert(nn.Sequential(nn.Conv1d(3, 6, 2), BatchNorm1d(6)), {"batch": "instance"})
    assert isinstance(instance.get_submodule("1"), InstanceNorm1d)


def test_the_model_itself_stays():
    model = mlp(BatchNorm1d(6))
    convert(model, {"batch": "none"})
    assert isinstance(model[1], BatchNorm1d)
    assert isinstance(convert(model, {"batch": "none"}).get_submodule("1"), Identity)


@pytest.mark.parametrize(
    ("model", "swaps", "said"),
    [
        (mlp(BatchNorm1d(6)), {"torch.bath": "batch"}, "Did you mean 'torch.batch'"),
        (mlp(BatchNorm1d(6)), {"batch": "weight"}, "wraps a layer"),
        (nn.Sequential(nn.Conv3d(1, 6, 1), NORMS["batch"].make(6, 3)), {"batch": "mean_only"}, "no form for 3 spatial"),
        (LayerNorm((3, 4)), {"layer": "batch"}, r"normalizes over \(3, 4\)"),
    ],
)
def test_what_cannot_be_swapped_is_said(model, swaps, said):
    with pytest.raises(ConfigError, match=said):
        convert(model, swaps)


def test_double_precision_and_affine_shapes_survive():
    model = nn.Sequential(nn.Conv2d(3, 6, 2), BatchNorm2d(6)).double()
    assert all(p.dtype == torch.float64 for p in convert(model, {"batch": "layer_channels"}).parameters())
