"""Checks which norm stands in which part of a policy: `norm`, `place` and `norm_kwargs` as a user writes them.

Each of the three is one value for all parts, or a dict by part, as `net_arch` is:

    norm="layer"                                  every hidden layer of every part
    norm=None                                     no norm, as "none"
    norm=dict(pi="layer", qf="batch")             actor and critic differ; a part that is left out has no norm
    norm_kwargs=dict(qf=dict(momentum=0.01))      by part where `norm` is

Parts: `features` is the features extractor, `pi` the actor, `vf` or `qf` the critic or Q-network. The extractor of flat
observations has no hidden layer: a norm stands there, on the observation itself, only if `norm` names `features`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from rlnorm.errors import ConfigError, raise_if_any, unknown
from rlnorm.networks import PLACES
from rlnorm.nn import Norm, Reparametrized, get_norm
from rlnorm.sb3.insert import insert_norms

Names = str | None | Mapping[str, str | None]


@dataclass(frozen=True)
class Setting:
    """The norm of one part, its place and the arguments of its modules."""

    name: str = "none"
    place: str = "before"
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def norm(self) -> Norm:
        """The norm of that name."""
        return get_norm(self.name)

    def insert(self, layers: nn.Sequential, hidden: int) -> None:
        """Put this norm on the first `hidden` of the Linear and Conv layers in `layers`, in place."""
        insert_norms(layers, hidden, self.norm, self.place, self.kwargs)

    def stands_in(self, network: nn.Module) -> bool:
        """Whether this setting has put a norm other than none into `network`."""
        modules = ((path.rpartition(".")[2], module) for path, module in network.named_modules())
        stands = any(name.startswith("norm") or isinstance(module, Reparametrized) for name, module in modules)
        return self.name != "none" and stands


NONE = Setting()


def settings(
    parts: Sequence[str], norm: Names, place: Names, norm_kwargs: Mapping[str, Any] | None
) -> dict[str, Setting]:
    """The setting of each of `parts`. Raises ConfigError with a sentence for each mistake in the three arguments."""
    by_part = isinstance(norm, Mapping)
    named = {"norm": norm, "place": place, "norm_kwargs": norm_kwargs if by_part else None}
    raise_if_any(
        unknown(f"part in {what}", part, parts)
        for what, given in named.items()
        if isinstance(given, Mapping)
        for part in given
        if part not in parts
    )
    if not isinstance(norm_kwargs, Mapping | None):
        raise ConfigError(f"norm_kwargs must be a dict, got {norm_kwargs!r}.")
    if norm_kwargs and not by_part and set(norm_kwargs) & set(parts):
        raise ConfigError("norm_kwargs is by part where norm is: write norm as a dict by part, too.")
    chosen = {part: _of(part, norm, place, norm_kwargs or {}, by_part) for part in parts}
    raise_if_any(dict.fromkeys(sentence for setting in chosen.values() for sentence in _errors(setting)))
    return chosen


def _of(part: str, norm: Names, place: Names, kwargs: Mapping[str, Any], by_part: bool) -> Setting:
    chosen = norm.get(part) if isinstance(norm, Mapping) else norm
    stands = place.get(part) if isinstance(place, Mapping) else place
    given = kwargs.get(part) if by_part else kwargs
    return Setting(
        "none" if chosen is None else chosen, "before" if stands is None else stands, {} if given is None else given
    )


def setting(norm: str | None, place: str, norm_kwargs: Mapping[str, Any] | None) -> Setting:
    """One checked setting."""
    return settings(("features",), norm, place, norm_kwargs)["features"]


def _errors(given: Setting) -> Iterator[str]:
    if given.place not in PLACES:
        yield unknown("place", given.place, PLACES)
    if not isinstance(given.kwargs, Mapping):
        yield f"norm_kwargs must be a dict of arguments of norm {given.name!r}, got {given.kwargs!r}."
        return
    if given.name == "none" and given.kwargs:
        yield f"norm_kwargs has {', '.join(given.kwargs)}, and there is no norm to take them: name one with norm=."
    models = [name for name in ("device", "dtype") if name in given.kwargs]
    if models:
        yield f"norm_kwargs takes no {' and no '.join(models)}: norms have the model's."
        return
    try:
        norm = given.norm
        module = norm.make(1, next(iter(norm.modules), 0), **given.kwargs)
    except ConfigError as error:
        yield from error.sentences
    except (TypeError, ValueError):
        # Another width may allow the value. A layer whose width does not refuses it where it is built.
        pass
    else:
        if norm.couples_batch and not any(name.startswith("running_") for name, _ in module.named_buffers()):
            yield (
                f"norm {given.name!r} without running statistics would act and bootstrap on the batch's statistics: "
                "leave track_running_stats at True."
            )
