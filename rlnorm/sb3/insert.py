"""Puts norms between the layers of a network that somebody else has laid out."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from rlnorm.errors import ConfigError
from rlnorm.networks import hidden_layer
from rlnorm.nn import Identity, Norm


def insert_norms(layers: nn.Sequential, hidden: int, norm: Norm, place: str, kwargs: Mapping[str, Any]) -> None:
    """Put `norm` on the first `hidden` of the Linear and Conv layers in `layers`, in place.

    The modules are then named as in `rlnorm.networks`: `linear1, norm1, activation1, ..., output`, without identities,
    because each module costs a call per pass and per change of mode. Without a norm `layers` stays as it is, with
    stable-baselines3's names, so that state goes from its networks to ours and back. A layer right before a norm that
    takes off each channel's mean loses its bias, which would do nothing (Ioffe & Szegedy 2015, arXiv:1502.03167,
    sec. 3.2).

    Raises ConfigError where the norm cannot stand.
    """
    if norm.name == "none":
        return
    named: dict[str, nn.Module] = {}
    modules, number = iter(layers), 0
    for module in modules:
        if not isinstance(module, nn.Linear | nn.Conv2d):
            named[type(module).__name__.lower()] = module
            continue
        number += 1
        if number > hidden:
            named["output"] = module
            continue
        if norm.modules and module.weight.ndim - 2 not in norm.modules:
            raise ConfigError(
                f"norm {norm.name!r} has no form behind a {type(module).__name__} layer; where there are images, the "
                f"convolutions take it: norm={{'features': {norm.name!r}}}."
            )
        if place != "after" and "channel shift" in norm.invariant_to:
            module.register_parameter("bias", None)
        try:
            layer = hidden_layer(number, module, next(modules), norm, place, kwargs)
            named.update((name, each) for name, each in layer if not isinstance(each, Identity))
        except ConfigError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            width = f"{module.weight.shape[0]} {'features' if isinstance(module, nn.Linear) else 'channels'}"
            raise ConfigError(f"norm {norm.name!r} cannot stand on {width}: {str(error).rstrip('.')}.") from error
    del layers[:]
    for name, module in named.items():
        layers.add_module(name, module)
