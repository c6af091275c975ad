import pytest
import torch

from rlnorm.errors import ConfigError
from rlnorm.networks import ACTIVATIONS, PLACES, initialize, mlp, network, network_errors
from rlnorm.nn import NORMS
from tests.alone import MLP_NORMS

IMAGE = (4, 6, 5)
FINE = {
    "hidden": (8,),
    "norm": "none",
    "place": "before",
    "activation": "relu",
    "init": "torch",
    "init_scale": 1.0,
    "batch": 2,
}


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
        ({"norm": "layer", "norm_kwargs": {"momentum": 0.1}}, "norm 'layer': got an unexpected keyword argument"),
        (
            {"norm": "weight", "norm_kwargs": {"eps": 1.0}},
            "norm 'weight' wraps a layer and takes no arguments, got: eps.",
        ),
        ({"norm": "batch", "norm_kwargs": {"eps": -1.0}}, "norm 'batch' cannot stand on 8 features: "),
        ({"norm": "layer", "norm_kwargs": {"eps": "x"}}, "norm 'layer' cannot stand on 8 features: "),
        ({"norm": "group", "norm_kwargs": {"num_groups": 3}}, "norm 'group' cannot stand on 8 features: "),
        ({"norm": "scale_shfit"}, "unknown norm 'scale_shfit'. Did you mean 'scale_shift'?"),
        (
            {"norm": "scale_shift", "place": "split"},
            "norm 'scale_shift' does not normalize, and cannot be split; place='after' shifts behind the activation.",
        ),
        (
            {"norm": "scale_shift", "affine": False},
            "norm 'scale_shift' without scale and shift is norm 'none'; leave affine as it is.",
        ),
        ({"sites": ("frist",)}, "unknown site 'frist'. Did you mean 'first'?"),
        ({"norm": "batch", "sites": ()}, "norm 'batch' would stand nowhere: got sites () and 1 hidden layers."),
        (
            {"norm": "batch", "hidden": ()},
            "norm 'batch' would stand nowhere: got sites ('hidden',) and 0 hidden layers.",
        ),
        (
            {"norm": "weight", "sites": ("input",)},
            "norm 'weight' wraps a layer, and before the site 'input' there is none.",
        ),
        (
            {"shape": (4, 10)},
            "a network reads vectors or images (channels, height, width), got observations of shape (4, 10).",
        ),
        (
            {"shape": (10, 10, 4), "channels": (8, 8)},
            "2 convolutions with a window of 3 x 3 need images of at least 5 x 5",
        ),
        ({"shape": IMAGE, "channels": (8, 0)}, "convolutions need at least one channel each, got (8, 0)."),
        ({"shape": IMAGE, "kernel": 0}, "kernel must be at least 1, got 0."),
        ({"shape": IMAGE, "norm": "instance"}, "norm 'instance' has no form for 0 spatial dimensions"),
        (
            {"shape": (4, 3, 3), "norm": "instance", "sites": ("first",)},
            "norm 'instance' cannot stand on maps of 16 x 1 x 1: InstanceNorm2d: expected more than 1 spatial element",
        ),
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
    body = mlp(4, 2, hidden=(8,), norm=norm)
    fails = False
    try:
        body(torch.randn(1, 4, generator=rng))
    except ValueError:
        fails = True
    assert fails == bool(list(network_errors(**{**FINE, "norm": norm, "batch": 1})))


def test_all_errors_come_at_once():
    bad = {**FINE, "norm": "x", "place": "x", "activation": "x", "init": "x", "hidden": (-1,), "init_scale": -1.0}
    assert len(list(network_errors(**bad))) == 6
    bad |= {"sites": ("x", "input", "y"), "shape": (1, 2, 2), "channels": (0,)}
    assert len(list(network_errors(**bad))) == 10


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
    body, plain = (mlp(4, 2, hidden=(8,), norm=norm) for norm in (str(path), "none"))
    for one in (body, plain):
        initialize(one, torch.Generator().manual_seed(0))
    linear, output = plain.get_submodule("linear1"), plain.get_submodule("output")
    torch.testing.assert_close(body(x), output((linear(x) / 2).relu()))
    (error,) = network_errors(**{**FINE, "norm": str(tmp_path / "no.py")})
    assert error.startswith("no norm file at")


def test_norms_that_a_convolution_can_take():
    """Those with a form for maps, and those that wrap; at the first layer alone, for which instance has a form too."""
    taken = {
        name
        for name in NORMS
        if not list(network_errors(**{**FINE, "norm": name, "shape": IMAGE, "sites": ("first",)}))
    }
    assert taken == {name for name, norm in NORMS.items() if 2 in norm.modules or norm.wrap_layer}
    assert "instance" in taken


def test_a_norm_of_vectors_alone_is_refused_on_maps(tmp_path):
    path = tmp_path / "halve.py"
    path.write_text(OWN_NORM)
    (error,) = network_errors(**{**FINE, "norm": str(path), "shape": IMAGE})
    assert error == "norm 'halve' has no form for 2 spatial dimensions; it has one for: 0."


def test_one_image_is_enough_where_pixels_are_many():
    one = {**FINE, "norm": "batch", "batch": 1, "shape": IMAGE}
    assert not list(network_errors(**{**one, "sites": ("first",)}))
    network(IMAGE, 2, norm="batch", sites=("first",))(torch.zeros(1, *IMAGE))
    assert len(list(network_errors(**one))) == 1
