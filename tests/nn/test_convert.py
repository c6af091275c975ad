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
    ChannelLayerNorm,
    GroupNorm,
    Identity,
    InstanceNorm1d,
    LayerNorm,
    MapLayerNorm,
    WeightNorm,
    convert,
    get_norm,
    load_norm,
    set_mode,
)
from tests.nn.foreign import FOREIGN


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


@pytest.mark.parametrize(("source", "target"), [("batch", "torch.batch"), ("torch.batch", "batch_renorm")])
def test_a_cumulative_average_stays_one(source, target):
    norm = nn.BatchNorm1d(6, momentum=None) if "torch" in source else BatchNorm1d(6, momentum=None)
    there = convert(norm, {source: target})
    assert vars(there)["momentum"] is None
    assert vars(convert(there, {target: source}))["momentum"] is None


def test_no_momentum_is_another_thing_in_torchs_instance_norm(rng):
    x = torch.randn(4, 6, 3, generator=rng) + 1
    theirs = nn.InstanceNorm1d(6, track_running_stats=True)
    vars(theirs)["momentum"] = None
    ours = convert(theirs, {"torch.instance": "instance"})
    ours(x)
    torch.testing.assert_close(ours.get_buffer("running_mean"), torch.zeros(6))
    with pytest.raises(ConfigError, match="the model averages cumulatively"):
        convert(InstanceNorm1d(6, momentum=None, track_running_stats=True), {"instance": "torch.instance"})
    untracked = convert(InstanceNorm1d(6, momentum=None), {"instance": "torch.instance"})
    assert vars(untracked)["momentum"] is None


@pytest.mark.parametrize("target", ["torch.batch", "layer", "mean_only"])
def test_what_is_frozen_stays_frozen(target):
    model = mlp(BatchNorm1d(6))
    model.get_parameter("1.bias").requires_grad_(False)
    learns = {name: p.requires_grad for name, p in convert(model, {"batch": target}).named_parameters()}
    assert not learns.pop("1.bias")
    assert all(learns.values())


def test_a_norm_in_two_places_is_one_afterwards(rng):
    norm = BatchNorm1d(6)
    model = nn.Sequential(nn.Linear(6, 6), norm, nn.Sequential(nn.Linear(6, 6), norm))
    converted = convert(used(model, rng).eval(), {"batch": "torch.batch"})
    assert type(converted.get_submodule("1")) is nn.BatchNorm1d
    assert converted.get_submodule("2.1") is converted.get_submodule("1")
    x = torch.randn(4, 6, generator=rng)
    torch.testing.assert_close(converted(x), model(x))


def test_a_norm_in_two_places_of_different_form_is_refused():
    norm = BatchNorm1d(6)
    model = nn.Sequential(nn.Conv1d(6, 6, 1), norm, nn.Flatten(), nn.Linear(6, 6), norm)
    with pytest.raises(ConfigError, match=r"1 and 4 are one norm.*norm 'layer' has another form for each"):
        convert(model, {"batch": "layer"})
    both = convert(model, {"batch": "group"})
    assert both.get_submodule("1") is both.get_submodule("4")


@pytest.mark.parametrize("mode", ["batch", "track"])
@pytest.mark.parametrize("target", ["batch", "instance"])
def test_a_mode_that_torchs_lack_is_refused(mode, target):
    model = set_mode(nn.Sequential(nn.Conv1d(3, 6, 2), BatchNorm1d(6), BatchNorm1d(6)), mode)
    with pytest.raises(ConfigError) as raised:
        convert(model, {"batch": f"torch.{target}"})
    for name, sentence in zip("12", raised.value.sentences, strict=True):
        assert sentence.startswith(f"{name} is in mode {mode!r}, which norm 'torch.{target}' lacks")
    assert isinstance(convert(model, {"batch": "layer_channels"}).get_submodule("1"), ChannelLayerNorm)


class Odd(nn.BatchNorm1d):
    """A user's."""


class Own(BatchNorm1d):
    """A user's of ours."""


@pytest.mark.parametrize(
    ("norm", "source"),
    [(Odd(6), "torch.batch"), (Own(6), "batch"), (nn.SyncBatchNorm(6), "torch.batch")],
)
def test_a_class_that_may_do_more_is_refused(norm, source):
    with pytest.raises(ConfigError, match=rf"1 is a {type(norm).__name__}, which may do more than norm {source!r}"):
        convert(mlp(norm), {source: "layer"})


def test_a_norm_of_ones_own_is_found_by_its_path(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        'from rlnorm.nn import BatchNorm1d, Norm\nclass Own(BatchNorm1d): ...\nNORM = Norm("own", {0: Own})\n'
    )
    model = nn.Sequential(nn.Linear(6, 6), load_norm(file).make(6), BatchNorm1d(6))
    converted = convert(model, {str(file): "layer", "batch": "none"})
    assert [type(module) for module in converted.children()][1:] == [LayerNorm, Identity]


def test_a_norm_of_ours_that_extends_another_is_not_of_its_kind():
    model = nn.Sequential(nn.Conv1d(3, 6, 2), MapLayerNorm(6))
    assert isinstance(convert(model, {"group": "batch"}).get_submodule("1"), MapLayerNorm)


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


def through_a_list() -> nn.Module:
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(BatchNorm1d(6))
            self.steps = list(self.net)

        def forward(self, x):
            for step in self.steps:
                x = step(x)
            return x

    return Listed()


def test_a_list_holds_the_new_norm_too(rng):
    model = used(through_a_list(), rng)
    converted = convert(model, {"batch": "none"})
    x = torch.randn(4, 6, generator=rng)
    assert isinstance(vars(converted)["steps"][1], Identity)
    torch.testing.assert_close(converted(x), converted.get_submodule("net")(x))


def test_a_parameter_that_is_new_is_frozen_where_all_of_the_norm_was():
    for frozen in (True, False):
        norm = nn.RMSNorm(6).requires_grad_(not frozen)
        assert {p.requires_grad for p in convert(norm, {"torch.rms": "layer"}).parameters()} == {not frozen}


class Conv(nn.Conv2d):
    """A user's."""


PARAMETRIZED = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 2))
TOLD = {
    "a transposed convolution": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), nn.ConvTranspose2d(8, 8, 2, 2)],
    "an unflattening": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4))],
    "a subclass": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), Conv(8, 8, 2)],
    "a parametrized layer": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), PARAMETRIZED],
    "a wrapped layer": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), WeightNorm(nn.Conv2d(8, 8, 2)), nn.ReLU()],
    "a pool": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), nn.AvgPool2d(2)],
    "a nested convolution": [
        nn.Sequential(nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4))),
        nn.Sequential(Conv(8, 8, 2)),
    ],
    "a flattening": [nn.Linear(6, 128), nn.Unflatten(1, (8, 4, 4)), Conv(8, 8, 4), nn.Flatten()],
}


@pytest.mark.parametrize("what", TOLD)
def test_outputs_are_the_same_whatever_tells_the_form(what, rng):
    norm = nn.GroupNorm(1, 8)
    norm.load_state_dict({"weight": torch.randn(8, generator=rng), "bias": torch.randn(8, generator=rng)})
    model = nn.Sequential(*TOLD[what], norm)
    x = torch.randn(3, 6, generator=rng)
    torch.testing.assert_close(convert(model, {"torch.group": "layer"})(x), model(x), rtol=1e-4, atol=1e-5)


class Reshapes(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 8, 4, 4)


@pytest.mark.parametrize("layer", [Reshapes(), nn.Unflatten(1, (8, -1)), nn.Upsample(scale_factor=2)])
def test_a_form_that_nothing_tells_is_refused_with_the_way_out(layer):
    model = nn.Sequential(nn.Linear(6, 128), Reshapes(), layer, nn.GroupNorm(1, 8))
    with pytest.raises(ConfigError) as raised:
        convert(model, {"torch.group": "layer"})
    assert str(raised.value) == (
        "3 (GroupNorm): the module before it does not tell how many spatial dimensions it has, and norm 'layer' has "
        "another form for each; replace it by hand with get_norm('layer').make(8, 0) or make(8, 1)."
    )
    assert isinstance(convert(model, {"torch.group": "group"}).get_submodule("3"), GroupNorm)


@pytest.mark.parametrize(("make", "library"), FOREIGN)
def test_a_norm_of_another_library_is_named_as_left_alone(make, library):
    model = mlp(make(6))
    said: list[str] = []
    converted = convert(model, {"batch_renorm": "layer", "torch.batch": "layer"}, notice=said.append)
    assert said == [f"1 ({make.__name__}) of {library} is left as it is: convert does not know it"]
    assert type(converted.get_submodule("1")) is make
    with pytest.warns(UserWarning, match="is left as it is: convert does not know it"):
        convert(model, {"torch.batch": "layer"})


def test_no_norm_means_none():
    assert get_norm(None) is NORMS["none"]
    assert isinstance(convert(mlp(BatchNorm1d(6)), {"batch": None}).get_submodule("1"), Identity)


def test_hooks_are_not_lost_in_silence():
    model = mlp(BatchNorm1d(6))
    handle = model[1].register_forward_hook(lambda *args: 2 * args[-1])
    with pytest.raises(ConfigError, match=r"1 \(BatchNorm1d\) has hooks, which norm 'layer' would lose"):
        convert(model, {"batch": "layer"})
    handle.remove()
    assert isinstance(convert(model, {"batch": "layer"}).get_submodule("1"), LayerNorm)


class SquashedNormal(nn.Module):
    """A distribution with state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(6))


def test_a_normal_distribution_is_no_norm_of_another_library():
    said: list[str] = []
    convert(nn.Sequential(mlp(BatchNorm1d(6)), SquashedNormal()), {"batch": "none"}, notice=said.append)
    assert not said
