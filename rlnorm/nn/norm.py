"""A norm as the rest of the package sees it: a name, its modules, and its facts as data.

A norm either stands after a Linear or a Conv (`modules`), or re-parametrizes it (`wrap`), or both. A network builder
needs to know none of that:

    layers = [norm.wrap(nn.Linear(8, 64)), norm.make(64), nn.ReLU()]

Adding a norm is adding one file `rlnorm/nn/<name>.py` that ends in `NORM = Norm(...)`. A norm of one's own may live
anywhere and is given by path (`load_norm`).
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import SupportsIndex

from torch import nn

from rlnorm.errors import ConfigError, unknown
from rlnorm.loading import load_module
from rlnorm.nn.modes import Mode

Make = Callable[..., nn.Module]


class Identity(nn.Module):
    """y = x; takes a width and anything else, so that it can stand wherever a norm can."""

    def __init__(self, width: SupportsIndex = 0, **_: object):
        super().__init__()
        self.width = index(width)

    def forward(self, input):
        """input -> input."""
        return input


@dataclass(frozen=True)
class Norm:
    """One norm.

    name           its short name: the file's name
    modules        number of spatial dimensions (0: after a Linear; 1, 2, 3: after a Conv) -> class, constructible from
                   the width (number of features or channels) alone; empty for a norm that only wraps
    wrap_layer     re-parametrizes a Linear or Conv and returns it; None for a norm that only stands after it
    invariant_to   changes of x that leave its training output as it is (up to eps); words of
                   `rlnorm.nn.laws.INVARIANCES`
    couples_batch  whether, in training, a row's output or gradient depends on the other rows
    constants_in   modes in which backward takes some functions of the batch or the weights as constants: there it is,
                   on purpose, not the derivative of the pass
    reference      number of spatial dimensions -> torch's class for the same thing, where there is one
    source         the paper
    regimes        the same modules where they behave otherwise (after a warm-up, say), each a norm with the facts that
                   hold there; the laws run over them too
    """

    name: str
    modules: Mapping[int, Make] = field(default_factory=dict)
    wrap_layer: Callable[[nn.Module], nn.Module] | None = None
    invariant_to: frozenset[str] = frozenset()
    couples_batch: bool = False
    constants_in: frozenset[Mode] = frozenset()
    reference: Mapping[int, Make] = field(default_factory=dict)
    source: str = ""
    regimes: tuple["Norm", ...] = ()

    def make(self, width: int, ndim: int = 0, **kwargs: object) -> nn.Module:
        """The module for `width` features and `ndim` spatial dimensions; the identity for a norm that only wraps.

        Raises ConfigError where the norm has no form for `ndim`, or takes no such argument.
        """
        if not self.modules:
            if kwargs:
                raise ConfigError(f"norm {self.name!r} wraps a layer and takes no arguments, got: {', '.join(kwargs)}.")
            return Identity(width)
        if ndim not in self.modules:
            has = ", ".join(map(str, self.modules))
            raise ConfigError(f"norm {self.name!r} has no form for {ndim} spatial dimensions; it has one for: {has}.")
        make = self.modules[ndim]
        try:
            inspect.signature(make).bind(width, **kwargs)
        except TypeError as error:
            takes = ", ".join(list(inspect.signature(make).parameters)[1:])
            raise ConfigError(f"norm {self.name!r}: {error}; it takes: {takes}.") from error
        return make(width, **kwargs)

    def wrap(self, layer: nn.Module) -> nn.Module:
        """`layer` (a Linear or a Conv) re-parametrized; as it is for a norm that only stands after it."""
        return layer if self.wrap_layer is None else self.wrap_layer(layer)


def load_norm(path: str | Path) -> Norm:
    """The norm a file defines: its `NORM`.

    Raises ConfigError where there is no such file, it does not import, or it defines no NORM.
    """
    ending = "NORM = Norm(...)"
    module = load_module(Path(path), f"rlnorm_user_norm_{Path(path).stem}", "norm", ending)
    norm = getattr(module, "NORM", None)
    if not isinstance(norm, Norm):
        raise ConfigError(f"{str(path)!r} defines no norm; expected it to end in {ending}, got {norm!r}.")
    return norm


def get_norm(name: str | None, norms: Mapping[str, Norm]) -> Norm:
    """The norm of that name, or the one in the file of that path (a name that ends in `.py`); None is "none".

    Raises ConfigError, with the nearest name, for one that is neither.
    """
    if name is None:
        name = "none"
    if not isinstance(name, str):
        raise ConfigError(_no_name(name, norms))
    if name.endswith(".py"):
        return load_norm(name)
    if name not in norms:
        raise ConfigError(unknown("norm", name, norms))
    return norms[name]


def _no_name(given: object, norms: Mapping[str, Norm]) -> str:
    """The sentence for a norm that is given as something other than a string."""
    same = (each.name for each in norms.values() if given in (*each.modules.values(), *each.reference.values()))
    meant = next((repr(name) for name in same), f"one of: {', '.join(norms)}")
    got = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
    return f"norm must be a short name or the path of a norm file, got {got}. Expected {meant}."


def discover(package: str, folder: Iterable[str]) -> Mapping[str, Norm]:
    """Every `NORM` in the modules of a package's folder, by name; "none" first, then alphabetically."""
    found: dict[str, Norm] = {}
    for entry in pkgutil.iter_modules(folder):
        norm = getattr(import_module(f"{package}.{entry.name}"), "NORM", None)
        if isinstance(norm, Norm):
            found[norm.name] = norm
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: (item[0] != "none", item[0]))))
