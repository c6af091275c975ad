"""Norms that are not ours: sb3-contrib's, one that keeps its state as torchrl's does, and one of nobody's name."""

import torch
from sb3_contrib.common.torch_layers import BatchRenorm1d as Contribs
from torch import Tensor, nn


class Torchrls(nn.Module):
    """The buffers of torchrl's BatchRenorm1d, under its name; torchrl is not among what we install."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) / self.running_var.sqrt()


Torchrls.__name__, Torchrls.__module__ = "BatchRenorm1d", "torchrl.modules.models.batchrenorm"


class Standardized(Torchrls):
    """Told by its buffers alone."""


class Attributes(nn.Module):
    """Told by an attribute."""

    def __init__(self, num_features: int):
        super().__init__()
        self.running_mean = torch.zeros(num_features)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.running_mean


FOREIGN = [(Contribs, "sb3_contrib"), (Torchrls, "torchrl"), (Standardized, "tests"), (Attributes, "tests")]
"""(class, its library)."""
