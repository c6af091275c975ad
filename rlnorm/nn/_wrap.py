"""A Linear or Conv whose weight is computed from other parameters: the base of weight and spectral normalization."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.nn import _require as require
from rlnorm.nn._torch import ConvNd, apply_layer
from rlnorm.nn.modes import Moded


class Reparametrized(Moded, ABC):
    """`layer` with the weight that `effective_weight` computes from the parameter it has.

    The layer's own weight and bias stay its parameters (`layer.weight`, `layer.bias`); it must not be used by itself.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            raise ConfigError(f"{type(self).__name__} wraps a Linear or Conv, but got {type(layer).__name__}.")
        self.layer: nn.Linear | ConvNd = layer

    @abstractmethod
    def effective_weight(self) -> Tensor:
        """The weight the layer is applied with, of the shape of `layer.weight`."""

    @abstractmethod
    def restart(self) -> None:
        """Start anew from the layer's present weight, as if the norm had just been put around it."""

    def forward(self, input: Tensor) -> Tensor:
        """As the layer, with the effective weight."""
        x, name, layer = input, type(self).__name__, self.layer
        require.floating(x, name)
        axis = -1 if isinstance(layer, nn.Linear) else -layer.weight.ndim + 1
        width = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        fits = x.ndim >= -axis and (axis == -1 or x.ndim <= layer.weight.ndim)
        if not fits or not require.sizes_are(x.shape[axis:][:1], (width,)):
            raise RuntimeError(f"{name}: expected {width} input features on axis {axis}, got shape {tuple(x.shape)}")
        for what, vector in {"weight": layer.weight, "bias": layer.bias}.items():
            if vector is not None:
                require.alike(x, vector, name, what, require.autocast(x))
        return apply_layer(layer, x, self.effective_weight())
