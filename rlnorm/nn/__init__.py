"""Normalization layers written from scratch: definition, derivation, kernel, module and facts, one file per norm.

`NORMS` maps short names to norms; `get_norm` also takes the path of a file with a norm of one's own.
"""

from rlnorm.nn import functional, norm
from rlnorm.nn.batch import BatchNorm1d
from rlnorm.nn.layer import LayerNorm
from rlnorm.nn.modes import MODES, Mode, Moded, set_mode
from rlnorm.nn.norm import Identity, Norm, load_norm

NORMS = norm.discover(__name__, __path__)


def get_norm(name: str) -> Norm:
    """The norm of that short name, or the one in the file of that path (a name that ends in `.py`).

    Raises ConfigError, with the nearest name, for one that is neither.
    """
    return norm.get_norm(name, NORMS)


__all__ = [
    "MODES",
    "NORMS",
    "BatchNorm1d",
    "Identity",
    "LayerNorm",
    "Mode",
    "Moded",
    "Norm",
    "functional",
    "get_norm",
    "load_norm",
    "set_mode",
]
