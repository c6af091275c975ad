from itertools import pairwise

import pytest
import torch
from torch import nn

from rlnorm.networks import INITS, PLACES, SITES, ScaleShift, initialize, mlp, network
from rlnorm.nn import NORMS, BatchNorm1d, BatchNorm2d, Identity, LayerNorm, Recurrent
from rlnorm.nn.spectral import SpectralNorm
from rlnorm.nn.weight import WeightNorm
from tests.alone import MLP_NORMS

IMAGE = (4, 6, 5)


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
    for none in ("none", None):
        assert isinstance(mlp(4, 2, norm=none).get_submodule("norm1"), Identity)
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
    for body, seed in ((first, 7), (second, 7), (other, 8)):
        initialize(body, torch.Generator().manual_seed(seed), "he")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.get_parameter("linear1.weight"), other.get_parameter("linear1.weight"))


def test_a_norm_around_a_layer_starts_from_the_weight_drawn(rng):
    weight, spectral = mlp(4, 2, norm="weight"), mlp(4, 2, norm="spectral")
    for body in (weight, spectral):
        initialize(body, rng, scale=3.0)
    for module in weight.modules():
        if isinstance(module, WeightNorm):
            torch.testing.assert_close(module.effective_weight(), module.layer.weight)
            torch.testing.assert_close(module.gain, module.layer.weight.norm(dim=1))
    for module in spectral.eval().modules():
        if isinstance(module, SpectralNorm):
            sigma = torch.linalg.matrix_norm(module.layer.weight, 2)
            torch.testing.assert_close(module.effective_weight(), module.layer.weight / sigma, rtol=0.02, atol=0.02)


def test_widths_chain():
    network = mlp(3, 2, hidden=(5, 7, 9))
    linears = [m for m in network if isinstance(m, nn.Linear)]
    assert all(a.out_features == b.in_features for a, b in pairwise(linears))


NAMES = ["conv1", "norm1", "activation1", "conv2", "norm2", "activation2", "flatten", "linear3", "norm3", "activation3"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer_channels", "weight"])
def test_an_image_is_read_by_convolutions_and_then_by_linear_layers(norm, place, rng):
    body = network(IMAGE, 3, channels=(6, 7), hidden=(8,), kernel=2, norm=norm, place=place).eval()
    assert [name for name, _ in body.named_children() if "affine" not in name] == (
        ["pixels", *NAMES, "output"]
        if place != "after"
        else ["pixels", *(NAMES[i] for i in (0, 2, 1, 3, 5, 4, 6, 7, 9, 8)), "output"]
    )
    x = torch.randn(5, *IMAGE, generator=rng)
    h = x
    for i, kind in enumerate(("conv", "conv", "linear"), start=1):
        h = body.get_submodule(f"{kind}{i}")(h if kind == "conv" else h.flatten(1))
        normalize = body.get_submodule(f"norm{i}")
        h = normalize(h.relu()) if place == "after" else normalize(h).relu()
        if place == "split":
            affine = body.get_submodule(f"affine{i}")
            assert isinstance(affine, ScaleShift)
            assert not list(normalize.parameters())
            torch.nn.init.normal_(affine.weight, generator=rng)
            torch.nn.init.normal_(affine.bias, generator=rng)
            ones = (1,) * (h.ndim - 2)
            h = affine.weight.view(-1, *ones) * h + affine.bias.view(-1, *ones)
        assert h.shape[1:] == [(6, 5, 4), (7, 4, 3), (8,)][i - 1]
    torch.testing.assert_close(body(x), body.get_submodule("output")(h))
    assert isinstance(network(IMAGE, 3, norm="batch").get_submodule("norm1"), BatchNorm2d)


def test_an_image_without_convolutions_or_linear_layers(rng):
    x = torch.randn(2, *IMAGE, generator=rng)
    flat, bare = network(IMAGE, 3, channels=(), hidden=(8,)), network(IMAGE, 3, channels=(2,), hidden=())
    assert [name for name, _ in flat.named_children()] == [
        "pixels",
        "flatten",
        "linear1",
        "norm1",
        "activation1",
        "output",
    ]
    assert [name for name, _ in bare.named_children()][-2:] == ["flatten", "output"]
    assert flat(x).shape == bare(x).shape == (2, 3)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.uint8, 1 / 255), (torch.bool, 1), (torch.float64, 1), (torch.int16, 1)]
)
def test_pixels_of_any_dtype(dtype, scale, rng):
    body, pixels = network(IMAGE, 2), torch.randint(2, (3, *IMAGE), generator=rng)
    assert torch.equal(body(pixels.to(dtype)), body(pixels * torch.tensor(scale, dtype=torch.float32)))


# For a network with hidden layers 1 (a convolution), 2 and 3: where a norm stands.
STANDS = {
    ("hidden",): {"norm1", "norm2", "norm3"},
    ("first",): {"norm1"},
    ("last",): {"norm3"},
    ("input",): {"norm_input"},
    ("output",): {"norm_output"},
    ("output", "first", "last", "first"): {"norm1", "norm3", "norm_output"},
    ("hidden", "input"): {"norm_input", "norm1", "norm2", "norm3"},
    (): set[str](),
}


@pytest.mark.parametrize("shape", [(4,), IMAGE], ids=str)
@pytest.mark.parametrize("sites", STANDS, ids=str)
def test_norms_stand_at_the_sites(sites, shape):
    stands = STANDS[sites]
    hidden, layers = (
        ((8,) * (3 if len(shape) == 1 else 2)),
        ("conv1" if len(shape) == 3 else "linear1", "linear2", "linear3"),
    )
    for place in PLACES:
        body = dict(network(shape, 2, hidden=hidden, norm="batch", sites=sites, place=place).named_children())
        assert {name for name, m in body.items() if type(m).__name__.startswith("BatchNorm")} == stands
        if place == "split":
            assert {f"norm{name[-1]}" for name in body if name.startswith("affine")} == stands - {
                "norm_input",
                "norm_output",
            }
        order = list(body)
        assert order.index("norm_input") == len(shape) // 3 if "input" in sites else "norm_input" not in order
        assert order[-1] == ("norm_output" if "output" in sites else "output")
    body = network(shape, 2, hidden=hidden, norm="weight", sites=sites)
    wrapped = {f"norm{i}" for i, name in enumerate(layers, 1) if isinstance(body.get_submodule(name), WeightNorm)}
    wrapped |= {"norm_output"} if isinstance(body.get_submodule("output"), WeightNorm) else set()
    assert wrapped == stands - {"norm_input"}


def test_every_site_is_tested():
    assert {site for sites in STANDS for site in sites} == set(SITES)


@pytest.mark.parametrize(("shape", "first"), [((4,), "linear1"), (IMAGE, "conv1")])
def test_the_input_is_normalized_over_its_features_or_channels(shape, first, rng):
    x, seen = 3 + torch.randn(50, *shape, generator=rng), list[torch.Tensor]()
    body = network(shape, 2, norm="batch", sites=("input",))
    body.get_submodule(first).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    body(x)
    axes = (0, *range(2, x.ndim))
    torch.testing.assert_close(seen[0].mean(axes), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].std(axes, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_arguments_reach_every_norm():
    body = network(IMAGE, 3, norm="batch", norm_kwargs={"momentum": 0.3, "affine": False}, sites=SITES)
    norms = [m for m in body if isinstance(m, BatchNorm1d | BatchNorm2d)]
    assert len(norms) == 5
    assert {norm.momentum for norm in norms} == {0.3}
    assert not any(list(norm.parameters()) for norm in norms)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_without_affine_no_norm_scales_or_shifts(norm, place, rng):
    sites = ("hidden", "output") if NORMS[norm].wrap_layer else SITES
    settings = {"hidden": (8,), "norm": norm, "place": place, "sites": sites}
    body, with_it = network((4,), 3, **settings, affine=False), network((4,), 3, **settings)
    kept = {name for name, _ in body.named_parameters()}
    assert not [name for name in kept if "norm" in name or "affine" in name]
    body.load_state_dict({k: v for k, v in with_it.state_dict().items() if k in body.state_dict()})
    x = torch.randn(6, 4, generator=rng)
    torch.testing.assert_close(body(x), with_it(x), msg="scale 1 and shift 0 do nothing")


@pytest.mark.parametrize("place", ["before", "after"])
def test_scale_and_shift_stand_alone_where_a_norm_would(place, rng):
    body = network((4,), 3, hidden=(8,), norm="scale_shift", place=place)
    x, linear, affine, output = (
        torch.randn(5, 4, generator=rng),
        *map(body.get_submodule, ("linear1", "norm1", "output")),
    )
    assert isinstance(affine, ScaleShift)
    torch.nn.init.normal_(affine.weight, generator=rng)
    torch.nn.init.normal_(affine.bias, generator=rng)
    h = affine(linear(x).relu()) if place == "after" else affine(linear(x)).relu()
    torch.testing.assert_close(body(x), output(h))
    torch.testing.assert_close(affine(x := torch.randn(2, 8, generator=rng)), affine.weight * x + affine.bias)
    maps = network(IMAGE, 3, norm="scale_shift").get_submodule("norm1")
    assert maps(torch.ones(2, 16, 4, 3)).shape == (2, 16, 4, 3)


@pytest.mark.parametrize("cell", ["tanh", "gru"])
@pytest.mark.parametrize("init", INITS)
def test_each_gate_of_a_recurrent_cell_is_drawn_by_the_scheme(init, cell, rng):
    layer = Recurrent(400, 600, cell)
    initialize(layer, rng, init, 0.5)
    parameters = dict(layer.cell.named_parameters())
    for name, inputs in (("weight_ih", 400), ("weight_hh", 600)):
        for gate in parameters[name].detach().split(600):
            xavier = (2 * inputs / (inputs + 600)) ** 0.5
            expected = {**STD, "xavier": xavier, "torch": (inputs / 600 / 3) ** 0.5}[init]
            assert gate.std().item() * inputs**0.5 == pytest.approx(0.5 * expected, rel=0.02)
    for name in ("bias_ih", "bias_hh"):
        largest = parameters[name].detach().abs().max().item()
        assert largest == pytest.approx(600**-0.5, rel=0.02) if init == "torch" else largest == 0


def test_a_convolution_starts_by_the_scheme_of_its_fan_in(rng):
    body = network((50, 8, 8), 2, channels=(100,))
    initialize(body, rng, "he", 0.5)
    weight = body.get_parameter("conv1.weight").detach()
    assert weight.std().item() == pytest.approx(0.5 * (2 / 450) ** 0.5, rel=0.02)
    assert not body.get_parameter("conv1.bias").any()
    initialize(body, rng)
    for name, own in nn.Conv2d(50, 100, 3).named_parameters():
        ours = body.get_parameter(f"conv1.{name}").abs().max().item()
        assert ours == pytest.approx(own.abs().max().item(), rel=0.05)
