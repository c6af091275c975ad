from itertools import pairwise

import pytest
import torch
from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.networks import ACTIVATIONS, INITS, PLACES, ScaleShift, initialize, mlp, network_errors
from rlnorm.nn import NORMS, BatchNorm1d, Identity, LayerNorm
from rlnorm.nn.spectral import SpectralNorm
from rlnorm.nn.weight import WeightNorm
from tests.alone import MLP_NORMS

FINE = {
    "hidden": (8,),
    "norm": "none",
    "place": "before",
    "activation": "relu",
    "init": "torch",
    "init_scale": 1.0,
    "batch": 2,
}


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ("before", ["linear", "norm", "activation"]),
        ("after", ["linear", "activation", "norm"]),
        ("split", ["linear", "norm", "activation", "affine"]),
    ],
)
def test_layers_stand_in_the_order_that_place_names(place, order):
    network = mlp(4, 2, hidden=(8, 6), norm="batch", place=place)
    assert [name for name, _ in network.named_children()] == [f"{k}{i}" for i in (1, 2) for k in order] + ["output"]


def test_kinds_and_widths():
    network = mlp(4, 2, hidden=(8, 6), norm="layer", activation="tanh")
    kinds = [type(module) for module in network]
    assert kinds == [nn.Linear, LayerNorm, nn.Tanh, nn.Linear, LayerNorm, nn.Tanh, nn.Linear]
    linears = [m for m in network if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [(4, 8), (8, 6), (6, 2)]
    assert [m.normalized_shape for m in network if isinstance(m, LayerNorm)] == [(8,), (6,)]
    assert isinstance(mlp(4, 2, norm="none").get_submodule("norm1"), Identity)
    assert isinstance(mlp(4, 2, norm="batch").get_submodule("norm1"), BatchNorm1d)
    assert isinstance(mlp(4, 2, norm="weight").get_submodule("linear2"), WeightNorm)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_the_forward_pass_is_the_formula(norm, place, rng):
    network = mlp(4, 2, hidden=(8,), norm=norm, place=place).eval()
    x = torch.randn(5, 4, generator=rng)
    linear, normalize, output = map(network.get_submodule, ("linear1", "norm1", "output"))
    h = normalize(linear(x).relu()) if place == "after" else normalize(linear(x)).relu()
    if place == "split":
        affine = network.get_submodule("affine1")
        assert isinstance(affine, ScaleShift)
        torch.nn.init.normal_(affine.weight, generator=rng)
        torch.nn.init.normal_(affine.bias, generator=rng)
        h = affine.weight * h + affine.bias
        assert not list(normalize.parameters())
    torch.testing.assert_close(network(x), output(h))
    assert network(x).shape == (5, 2)


def test_no_hidden_layer_is_a_linear_network(rng):
    network = mlp(4, 2, hidden=())
    assert [name for name, _ in network.named_children()] == ["output"]
    assert network(torch.randn(3, 4, generator=rng)).shape == (3, 2)


def test_bias_is_that_of_hidden_layers():
    network = mlp(4, 2, hidden=(8, 6), bias=False)
    assert {name for name, _ in network.named_parameters() if name.endswith("bias")} == {"output.bias"}
    network = mlp(4, 2, hidden=(8, 6), norm="weight", bias=False)
    assert {name for name, _ in network.named_parameters() if name.endswith("bias")} == {"output.bias"}


# Standard deviation times sqrt(fan_in). torch draws uniformly from +-1/sqrt(fan_in); xavier goes by both fans.
STD = {"torch": 3**-0.5, "lecun": 1.0, "he": 2**0.5, "xavier": (2 * 400 / (400 + 600)) ** 0.5}


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("init", INITS)
def test_weights_are_drawn_by_the_scheme(init, scale, rng):
    network = mlp(400, 3, hidden=(600,))
    initialize(network, rng, init, scale)
    weight, bias = (network.get_parameter(f"linear1.{name}").detach() for name in ("weight", "bias"))
    assert weight.mean().abs().item() < 0.01 * scale / 20
    assert weight.std().item() * 20 == pytest.approx(STD[init] * scale, rel=0.01)
    if init == "torch":
        assert weight.abs().max().item() == pytest.approx(scale / 20, rel=1e-3)
        assert bias.abs().max().item() == pytest.approx(1 / 20, rel=0.02)
        assert bias.std().item() * 20 == pytest.approx(3**-0.5, rel=0.1)
    else:
        assert weight.abs().max().item() > 3 * weight.std().item()
        assert not bias.any()


def test_every_scheme_has_its_moments_tested():
    assert set(STD) == set(INITS)


def test_torch_is_how_torch_draws(rng):
    """The same bounds as nn.Linear's own start, for its weight and its bias."""
    network, torchs = mlp(100, 2, hidden=(2000,)), nn.Linear(100, 2000)
    initialize(network, rng)
    for name, own in torchs.named_parameters():
        ours = network.get_parameter(f"linear1.{name}")
        assert ours.abs().max().item() == pytest.approx(own.abs().max().item(), rel=0.01)


def test_same_generator_same_network():
    first, second, other = (mlp(4, 2, norm="layer") for _ in range(3))
    for network, seed in ((first, 7), (second, 7), (other, 8)):
        initialize(network, torch.Generator().manual_seed(seed), "he")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.get_parameter("linear1.weight"), other.get_parameter("linear1.weight"))


def test_a_norm_around_a_layer_starts_from_the_weight_drawn(rng):
    weight, spectral = mlp(4, 2, norm="weight"), mlp(4, 2, norm="spectral")
    for network in (weight, spectral):
        initialize(network, rng, scale=3.0)
    for module in weight.modules():
        if isinstance(module, WeightNorm):
            torch.testing.assert_close(module.effective_weight(), module.layer.weight)
            torch.testing.assert_close(module.gain, module.layer.weight.norm(dim=1))
    for module in spectral.eval().modules():
        if isinstance(module, SpectralNorm):
            sigma = torch.linalg.matrix_norm(module.layer.weight, 2)
            torch.testing.assert_close(module.effective_weight(), module.layer.weight / sigma, rtol=0.02, atol=0.02)


def test_good_settings_have_no_errors():
    for norm in MLP_NORMS:
        for place in PLACES:
            for activation in ACTIVATIONS:
                named = {"norm": norm, "place": place, "activation": activation}
                assert not list(network_errors(**{**FINE, **named}))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"norm": "bacth"}, "unknown norm 'bacth'. Did you mean 'batch'?"),
        ({"place": "befor"}, "unknown place 'befor'. Did you mean 'before'?"),
        ({"activation": "rleu"}, "unknown activation 'rleu'. Did you mean 'relu'?"),
        ({"init": "xaver"}, "unknown init 'xaver'. Did you mean 'xavier'?"),
        ({"hidden": (8, 0)}, "hidden layers need at least one unit each, got (8, 0)."),
        ({"norm": "instance"}, "norm 'instance' has no form for 0 spatial dimensions"),
        ({"init_scale": 0.0}, "init_scale must be positive and finite, got 0.0."),
        ({"init_scale": float("nan")}, "init_scale must be positive and finite, got nan."),
        ({"norm": "batch", "batch": 1}, "norm 'batch' takes statistics over the batch and needs at least 2 examples"),
    ],
    ids=str,
)
def test_each_error_is_one_sentence(setting, sentence):
    (error,) = network_errors(**{**FINE, **setting})
    assert error.startswith(sentence)


def test_norms_that_an_mlp_cannot_take_are_named_and_no_others():
    refused = {norm for norm in NORMS if list(network_errors(**{**FINE, "norm": norm}))}
    assert refused == set(NORMS) - set(MLP_NORMS)
    for norm in refused:
        with pytest.raises(ConfigError):
            mlp(4, 2, norm=norm)


@pytest.mark.parametrize("norm", MLP_NORMS)
def test_a_batch_of_one_is_refused_where_it_would_fail(norm, rng):
    network = mlp(4, 2, hidden=(8,), norm=norm)
    fails = False
    try:
        network(torch.randn(1, 4, generator=rng))
    except ValueError:
        fails = True
    assert fails == bool(list(network_errors(**{**FINE, "norm": norm, "batch": 1})))


def test_all_errors_come_at_once():
    bad = {**FINE, "norm": "x", "place": "x", "activation": "x", "init": "x", "hidden": (-1,), "init_scale": -1.0}
    assert len(list(network_errors(**bad))) == 6


def test_widths_chain():
    network = mlp(3, 2, hidden=(5, 7, 9))
    linears = [m for m in network if isinstance(m, nn.Linear)]
    assert all(a.out_features == b.in_features for a, b in pairwise(linears))


OWN_NORM = """
from torch import nn
from rlnorm.nn import Norm

class Halve(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, x):
        return x / 2

NORM = Norm("halve", {0: Halve})
"""


def test_a_norm_of_ones_own_is_given_by_its_path(tmp_path, rng):
    path, x = tmp_path / "halve.py", torch.randn(5, 4, generator=rng)
    path.write_text(OWN_NORM)
    assert not list(network_errors(**{**FINE, "norm": str(path)}))
    network, plain = (mlp(4, 2, hidden=(8,), norm=norm) for norm in (str(path), "none"))
    for one in (network, plain):
        initialize(one, torch.Generator().manual_seed(0))
    linear, output = plain.get_submodule("linear1"), plain.get_submodule("output")
    torch.testing.assert_close(network(x), output((linear(x) / 2).relu()))
    (error,) = network_errors(**{**FINE, "norm": str(tmp_path / "no.py")})
    assert error.startswith("no norm file at")
