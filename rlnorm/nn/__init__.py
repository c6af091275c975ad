"""Normalization layers written from scratch: definition, derivation, kernel, module and facts, one file per norm.

`NORMS` maps short names to norms; `get_norm` also takes the path of a file with a norm of one's own.
"""

from collections.abc import Callable, Mapping

from torch import nn

from rlnorm.nn import convert as _convert
from rlnorm.nn import functional, norm
from rlnorm.nn._wrap import Reparametrized
from rlnorm.nn.batch import BatchNorm1d, BatchNorm2d, BatchNorm3d
from rlnorm.nn.batch_renorm import CROSSQ, BatchRenorm1d, BatchRenorm2d, BatchRenorm3d
from rlnorm.nn.dropout import AlphaDropout, Dropout
from rlnorm.nn.fold import fold
from rlnorm.nn.group import GroupNorm
from rlnorm.nn.instance import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from rlnorm.nn.layer import LayerNorm, MapLayerNorm
from rlnorm.nn.layer_channels import ChannelLayerNorm
from rlnorm.nn.mean_only import MeanOnlyBatchNorm1d, MeanOnlyBatchNorm2d
from rlnorm.nn.modes import MODES, Mode, Moded, set_mode
from rlnorm.nn.norm import Identity, Norm, load_norm
from rlnorm.nn.observation import ObservationNorm
from rlnorm.nn.recurrent import Recurrent, RecurrentCell
from rlnorm.nn.rms import MapRMSNorm, RMSNorm
from rlnorm.nn.running import RunningNorm
from rlnorm.nn.selu import SELU, lecun_normal_
from rlnorm.nn.spectral import SpectralNorm
from rlnorm.nn.statistics import no_decay_parameters, update_bn
from rlnorm.nn.weight import WeightNorm, initialize_from_data

NORMS = norm.discover(__name__, __path__)


def get_norm(name: str | None) -> Norm:
    """The norm of that short name, or the one in the file of that path (a name that ends in `.py`); None is "none".

    Raises ConfigError, with the nearest name, for one that is neither.
    """
    return norm.get_norm(name, NORMS)


def convert(
    model: nn.Module, swaps: Mapping[str, str | None], *, notice: Callable[[str], None] | None = None
) -> nn.Module:
    """A copy of `model` with norms swapped by name: `convert(model, {"torch.batch": "layer"})`.

    Names are ours (`batch`, `layer`, ...), torch's (`torch.batch`, `torch.layer`, `torch.rms`, `torch.group`,
    `torch.instance`), or the path of a file with a norm of one's own; None is "none". `notice` is told each norm of
    another library, which is left alone; the default is `warnings.warn`. `rlnorm.nn.convert.convert` lists the state
    that is carried over, and the cases that are refused.
    """
    return _convert.convert(model, swaps, NORMS, notice)


__all__ = [
    "CROSSQ",
    "MODES",
    "NORMS",
    "SELU",
    "AlphaDropout",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "BatchRenorm3d",
    "ChannelLayerNorm",
    "Dropout",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "MapLayerNorm",
    "MapRMSNorm",
    "MeanOnlyBatchNorm1d",
    "MeanOnlyBatchNorm2d",
    "Mode",
    "Moded",
    "Norm",
    "ObservationNorm",
    "RMSNorm",
    "Recurrent",
    "RecurrentCell",
    "Reparametrized",
    "RunningNorm",
    "SpectralNorm",
    "WeightNorm",
    "convert",
    "fold",
    "functional",
    "get_norm",
    "initialize_from_data",
    "lecun_normal_",
    "load_norm",
    "no_decay_parameters",
    "set_mode",
    "update_bn",
]
