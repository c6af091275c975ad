"""Features extractors: stable-baselines3's features where there is no norm, and norms behind their layers."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN

from rlnorm.errors import ConfigError
from rlnorm.nn import BatchNorm2d, InstanceNorm2d, LayerNorm
from rlnorm.sb3 import DictExtractor, FlatExtractor, ImageExtractor
from rlnorm.sb3.extractors import standard_class
from tests.sb3.learning import DICT, FLAT, MINATAR, NATURE, SMALL_IMAGE, make


def test_without_a_norm_the_features_are_natures():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        ours = ImageExtractor(NATURE)
        torch.manual_seed(0)
        theirs = NatureCNN(NATURE)
        x = torch.rand(2, 4, 84, 84)
    assert torch.equal(ours(x), theirs(x))
    assert ours.features_dim == theirs.features_dim == 512


def test_small_images_have_minatars_layout_and_bool_maps_are_channels_last(rng):
    extractor = ImageExtractor(MINATAR, norm="batch").eval()
    x = torch.rand(2, 10, 10, 4, generator=rng)
    assert extractor(x).shape == (2, 128)
    assert torch.equal(extractor(x), extractor.linear(extractor.cnn(x.permute(0, 3, 1, 2))))
    assert [name for name, _ in extractor.cnn.named_children()] == ["conv1", "norm1", "activation1", "flatten"]
    assert isinstance(extractor.cnn.get_submodule("norm1"), BatchNorm2d)
    assert extractor.cnn.get_submodule("conv1").weight.shape == (16, 4, 3, 3)


def test_a_norm_of_images_stands_behind_the_convolutions_alone():
    extractor = ImageExtractor(SMALL_IMAGE, norm="instance")
    assert isinstance(extractor.cnn.get_submodule("norm1"), InstanceNorm2d)
    assert [name for name, _ in extractor.linear.named_children()] == ["0", "1"]


def test_flat_observations_are_normalized_themselves(rng):
    x = torch.randn(3, 4, generator=rng)
    extractor = FlatExtractor(FLAT, norm="layer", norm_kwargs={"eps": 0.1})
    torch.testing.assert_close(extractor(x), LayerNorm(4, eps=0.1)(x))
    assert torch.equal(FlatExtractor(FLAT)(x), x)
    assert torch.equal(FlatExtractor(FLAT, norm=None)(x), x)


def test_dicts_have_an_extractor_for_each_key(rng):
    extractor = DictExtractor(DICT, cnn_output_dim=16, norm="batch")
    x = {
        key: torch.rand(2, *size, generator=rng)
        for key, size in [("image", (3, 12, 12)), ("kind", (3,)), ("vector", (4,))]
    }
    features = extractor.eval()(x)
    expected = torch.cat([extractor.extractors["image"](x["image"]), x["kind"], x["vector"]], 1)
    assert list(DICT.spaces) == ["image", "kind", "vector"]
    assert torch.equal(features, expected)
    assert features.shape == (2, extractor.features_dim)
    assert isinstance(extractor.get_submodule("extractors.image.cnn.norm1"), BatchNorm2d)


@pytest.mark.parametrize(
    ("space", "normalized", "expected"),
    [
        (FLAT, False, FlattenExtractor),
        (NATURE, False, NatureCNN),
        (MINATAR, False, NatureCNN),
        (spaces.Box(0, 1, (10, 10), np.float32), False, FlattenExtractor),
        (spaces.Box(0, 1, (1, 10, 10), np.float32), True, NatureCNN),
        (DICT, False, CombinedExtractor),
    ],
)
def test_the_space_chooses_the_class(space, normalized, expected):
    assert standard_class(space, normalized) is expected


@pytest.mark.parametrize("norm", [None, "none", "layer"])
def test_what_may_be_an_image_is_not_guessed(norm):
    space = spaces.Box(-1, 1, (1, 36, 36), np.float32)
    with pytest.raises(ConfigError, match=r"pass normalize_images=False, .* features_extractor_class=FlattenExtractor"):
        make("ppo", space, {"norm": norm})
    for bare, policy in (("", {"norm": norm}), ("Cnn", {})):
        with pytest.raises(AssertionError):
            make("ppo", space, policy, bare)
    scaled = {"normalize_images": False, "features_extractor_kwargs": {"features_dim": 8}}
    image, flat = (
        make("ppo", space, {"norm": norm, **said}).policy.features_extractor
        for said in (scaled, {"features_extractor_class": FlattenExtractor})
    )
    assert isinstance(image, ImageExtractor)
    assert isinstance(flat, FlattenExtractor)
    assert (image.features_dim, flat.features_dim) == (8, 36 * 36)


@pytest.mark.parametrize(
    ("extractor", "space", "norm", "said"),
    [
        (ImageExtractor, FLAT, "batch", "an image extractor reads images"),
        (FlatExtractor, FLAT, "instance", "norm 'instance' is one of images, and the observations are flat: Box"),
        (FlatExtractor, FLAT, "weight", "norm 'weight' wraps a layer, and flat observations have none before them."),
    ],
)
def test_what_cannot_be_is_refused(extractor, space, norm, said):
    with pytest.raises(ConfigError, match=said):
        extractor(space, norm=norm)
