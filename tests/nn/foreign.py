"""Batch renormalization of other libraries: sb3-contrib's, and one that keeps its state as torchrl's does."""

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
FOREIGN = [(Contribs, "sb3_contrib"), (Torchrls, "torchrl")]
"""(class, its library)."""
