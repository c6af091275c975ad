"""Settings as frozen dataclasses: defaults in one place, names and kinds of values checked, all errors at once.

A subclass declares its settings as fields and yields in `errors` a sentence for each value that cannot be used.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from rlnorm.errors import raise_if_any, unknown

_NUMBERS: Mapping[Any, type] = {float: Real, int: Integral}
_NAMES: Mapping[Any, tuple[str, str]] = {  # one, several
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    bool: ("True or False", "True or False"),
    str: ("a string", "strings"),
    NoneType: ("None", "None"),
    Mapping: ("a mapping", "mappings"),
}


@dataclass(frozen=True, kw_only=True)
class Config(ABC):
    """Base of all settings.

    A field may be declared as a float, int, bool, str, a Sequence or tuple of these, a Mapping, or one of several (|).
    Numbers of any library become Python's, an integer is taken where a float is declared, and lists become tuples. A
    value of another kind is kept as it is, for `errors_in` to name it.
    """

    def __post_init__(self) -> None:
        for name, kind in _kinds(type(self)).items():
            with suppress(TypeError):
                object.__setattr__(self, name, as_declared(getattr(self, name), kind))

    @abstractmethod
    def errors(self) -> Iterator[str]:
        """One sentence for each value that cannot be used; every value has the kind that was declared."""

    def values(self) -> dict[str, Any]:
        """Every setting by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def errors_in(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """One sentence for each name or value in `given` that cannot be used.

        `errors` is asked only where nothing is missing and every value has the kind that was declared.
        """
        declared = {field.name: field for field in fields(cls)}
        expected = f"a setting of {cls.__module__}"
        yield from (unknown("setting", name, declared, expected) for name in given if name not in declared)
        missing = [name for name, field in declared.items() if field.default is MISSING and name not in given]
        yield from (f"{name} has no default: set it." for name in missing)
        if missing:
            return
        made = cls(**{name: value for name, value in given.items() if name in declared})
        wrong = list(made._values_of_another_kind())
        yield from wrong or made.errors()

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """The settings in `given`, with defaults for the others. Raises ConfigError with all errors."""
        raise_if_any(cls.errors_in(given))
        return cls(**given)

    def _values_of_another_kind(self) -> Iterator[str]:
        for name, kind in _kinds(type(self)).items():
            value = getattr(self, name)
            try:
                as_declared(value, kind)
            except TypeError:
                hint = f"; write ({value!r},)" if _is_list(kind) and not _holds_several(value) else ""
                yield f"{name} must be {_named(kind)}, got {value!r}{hint}."


@dataclass(frozen=True, kw_only=True)
class NormConfig(Config):
    """Base of the settings of networks with a norm. None for the norm means "none"."""

    norm: str = "none"

    def __post_init__(self) -> None:
        if self.norm is None:
            object.__setattr__(self, "norm", "none")
        super().__post_init__()


@cache
def _kinds(cls: type[Config]) -> Mapping[str, Any]:
    return get_type_hints(cls)


def as_declared(value: Any, kind: Any) -> Any:
    """`value` in the form that `kind` declares. Raises TypeError where it has another kind."""
    if kind is Any:
        return value.item() if isinstance(value, np.generic) else value
    if get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            with suppress(TypeError):
                return as_declared(value, each)
    elif _is_list(kind):
        if _holds_several(value):
            return tuple(as_declared(each, get_args(kind)[0]) for each in value)
    elif get_origin(kind) is Mapping:
        if isinstance(value, Mapping):
            return {name: as_declared(each, get_args(kind)[1]) for name, each in value.items()}
    elif kind in _NUMBERS:
        if isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool):
            return kind(value)
    elif kind is bool:
        if isinstance(value, bool | np.bool_):
            return bool(value)
    elif isinstance(value, kind):
        return value
    raise TypeError


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in (Sequence, tuple)


def _holds_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Mapping)


def _named(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_named, get_args(kind)))
    if _is_list(kind):
        return f"a list of {_NAMES[get_args(kind)[0]][1]}"
    return _NAMES[get_origin(kind) or kind][0]
