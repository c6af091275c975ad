"""Features extractors with norms, for flat, image and Dict observations.

They replace stable-baselines3's `FlattenExtractor`, `NatureCNN` and `CombinedExtractor` in the policies here. Other
policies take them as `features_extractor_class`. Without a norm they draw the same weights under the same names and
compute the same features.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    NatureCNN,
)
from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.sb3.settings import Setting, setting

# Channels, window, stride of each convolution, and units of the Linear layer behind them.
NATURE = (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512)
"""Mnih et al. 2015, Nature 518: from 36 x 36 pixels."""
MINATAR = (((16, 3, 1),), 128)
"""Young & Tian 2019, arXiv:1903.03176: for MinAtar's 10 x 10 pixels."""
SMALLEST_NATURE = 36


class NoImage(ConfigError, AssertionError):
    """Observations are no images: an AssertionError too, as stable-baselines3's CnnPolicy raises there."""


def is_image(space: Space, normalized: bool = False) -> bool:
    """Whether observations are images: those of stable-baselines3, or MinAtar's bool maps (H, W, C).

    normalized  as `normalize_images=False` in a policy: any Box of 3 axes counts
    """
    bools = isinstance(space, spaces.Box) and space.dtype == np.bool_ and len(space.shape) == 3
    return bools or is_image_space(space, normalized_image=normalized)


def standard_class(space: Space, normalized: bool = False) -> type[BaseFeaturesExtractor]:
    """The extractor that stable-baselines3's MlpPolicy, CnnPolicy or MultiInputPolicy has for a space.

    Raises NoImage for a Box of 3 axes that may be an image or not: there CnnPolicy and MlpPolicy differ.
    """
    if isinstance(space, spaces.Dict):
        return CombinedExtractor
    if is_image(space, normalized):
        return NatureCNN
    if isinstance(space, spaces.Box) and len(space.shape) == 3:
        raise NoImage(
            f"observations have 3 axes and are no images of uint8 from 0 to 255, got {space}: for channels-first "
            "images that are scaled already pass normalize_images=False, for a network of flat observations "
            "features_extractor_class=FlattenExtractor."
        )
    return FlattenExtractor


class FlatExtractor(FlattenExtractor):
    """Flattened observations (B, ...) -> (B, features), with the norm on them."""

    def __init__(
        self,
        observation_space: Space,
        norm: str | None = "none",
        place: str = "before",
        norm_kwargs: Mapping[str, Any] | None = None,
    ):
        super().__init__(observation_space)
        chosen = setting(norm, place, norm_kwargs)
        if chosen.norm.wrap_layer is not None:
            raise ConfigError(f"norm {norm!r} wraps a layer, and flat observations have none before them.")
        if chosen.norm.modules and 0 not in chosen.norm.modules:
            raise ConfigError(f"norm {norm!r} is one of images, and the observations are flat: {observation_space}.")
        self.norm_input = chosen.norm.make(self.features_dim, **chosen.kwargs)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, ...) -> (B, features)."""
        return self.norm_input(super().forward(observations))


class ImageExtractor(BaseFeaturesExtractor):
    """Images (B, C, H, W) -> (B, features_dim) by convolutions and one Linear layer, ReLU and the norm behind each.

    features_dim      units of the Linear layer; None for those of the layout
    normalized_image  as in `NatureCNN`: take any Box of 3 axes for an image

    The layout is that of the Nature DQN, or MinAtar's for images smaller than 36 pixels. Images are channels first, as
    stable-baselines3 passes them; MinAtar's bool maps are channels last and transposed here. A norm that has no form
    behind a Linear layer (`instance`) stands behind the convolutions alone.
    """

    def __init__(
        self,
        observation_space: Space,
        features_dim: int | None = None,
        normalized_image: bool = False,
        norm: str | None = "none",
        place: str = "before",
        norm_kwargs: Mapping[str, Any] | None = None,
    ):
        if not (isinstance(observation_space, spaces.Box) and is_image(observation_space, normalized_image)):
            raise NoImage(
                "an image extractor reads images (uint8 from 0 to 255, bool, or any Box of 3 axes with "
                f"normalize_images=False), got {observation_space}."
            )
        self.channels_last = observation_space.dtype == np.bool_
        shape = np.roll(observation_space.shape, 1) if self.channels_last else observation_space.shape
        channels, *pixels = map(int, shape)
        convolutions, units = NATURE if min(pixels) >= SMALLEST_NATURE else MINATAR
        features_dim = features_dim or units
        super().__init__(observation_space, features_dim)
        chosen = setting(norm, place, norm_kwargs)
        layers: list[nn.Module] = []
        widths = [channels, *(width for width, _, _ in convolutions)]
        for (inputs, width), (_, window, stride) in zip(pairwise(widths), convolutions, strict=True):
            layers += [nn.Conv2d(inputs, width, window, stride), nn.ReLU()]
        cnn = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            flat = cnn(torch.zeros(1, channels, *pixels)).shape[1]
        self.cnn, self.linear = cnn, nn.Sequential(nn.Linear(flat, features_dim), nn.ReLU())
        chosen.insert(self.cnn, len(convolutions))
        if not chosen.norm.modules or 0 in chosen.norm.modules:
            chosen.insert(self.linear, 1)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, C, H, W), or (B, H, W, C) of bool spaces -> (B, features_dim)."""
        return self.linear(self.cnn(observations.movedim(-1, 1) if self.channels_last else observations))


class DictExtractor(CombinedExtractor):
    """Dict observations: images through an `ImageExtractor` each, the rest flattened; concatenated (B, features).

    Norms stand in the image extractors; vectors pass as they are. A Box of 3 axes that is not an image is flattened, as
    in stable-baselines3, unless `normalized_image`.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        cnn_output_dim: int = 256,
        normalized_image: bool = False,
        norm: str | None = "none",
        place: str = "before",
        norm_kwargs: Mapping[str, Any] | None = None,
    ):
        BaseFeaturesExtractor.__init__(self, observation_space, features_dim=1)
        self.extractors = nn.ModuleDict()
        self._features_dim = 0
        for key, space in observation_space.spaces.items():
            if is_image(space, normalized_image):
                self.extractors[key] = ImageExtractor(space, cnn_output_dim, normalized_image, norm, place, norm_kwargs)
                self._features_dim += cnn_output_dim
            else:
                self.extractors[key] = nn.Flatten()
                self._features_dim += get_flattened_obs_dim(space)


NORMED: Mapping[type[BaseFeaturesExtractor], Callable[..., BaseFeaturesExtractor]] = {
    FlattenExtractor: FlatExtractor,
    NatureCNN: ImageExtractor,
    CombinedExtractor: DictExtractor,
}
"""stable-baselines3's extractors and their replacements."""


def make_extractor(
    extractor: type[BaseFeaturesExtractor], space: Space, kwargs: Mapping[str, Any], chosen: Setting
) -> BaseFeaturesExtractor:
    """An extractor of the given class, with norms if it is stable-baselines3's; a user's class is left as it is."""
    if extractor not in NORMED or (extractor is FlattenExtractor and chosen.name == "none"):
        return extractor(space, **kwargs)
    return NORMED[extractor](space, **kwargs, norm=chosen.name, place=chosen.place, norm_kwargs=chosen.kwargs)
