"""Settings as dataclasses: every kind that can be declared, in the forms it is written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlnorm.dqn
import rlnorm.supervised
from rlnorm.config import Config, as_declared
from rlnorm.errors import ConfigError

TAKEN = [
    (1, float, 1.0),
    (np.float32(0.5), float, 0.5),
    (Fraction(1, 2), float, 0.5),
    (np.int64(3), int, 3),
    (np.bool_(True), bool, True),
    ("a", str, "a"),
    (None, int | None, None),
    (np.int8(3), int | None, 3),
    (1, float | None, 1.0),
    ("a", str | Path, "a"),
    (range(2), Sequence[int], (0, 1)),
    (np.arange(2), Sequence[float], (0.0, 1.0)),
    ([1, 0, 0.5], tuple[float, float, float], (1.0, 0.0, 0.5)),
    ({"eps": np.float64(0.1)}, Mapping[str, Any], {"eps": 0.1}),
    ({"eps": 1, "on": True}, Mapping[str, Any] | None, {"eps": 1, "on": True}),
]
REFUSED = [
    *[(value, float) for value in ("1", None, True, 1j, [1.0])],
    *[(value, int) for value in (1.0, np.float64(1), False, "1", None)],
    *[(value, bool) for value in (0, 1, "True", None)],
    *[(value, str) for value in (1, None, b"a")],
    *[(value, Sequence[int]) for value in (1, "12", {1: 2}, [1.0], [None], None)],
    *[(value, Mapping[str, Any] | None) for value in ("a", [("a", 1)], 1)],
    ("none", int | None),
]


@pytest.mark.parametrize(("value", "kind", "expected"), TAKEN, ids=str)
def test_what_is_meant_is_taken_in_the_form_that_was_declared(value, kind, expected):
    found = as_declared(value, kind)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(found, tuple | dict):
        values = found.values() if isinstance(found, dict) else found
        assert all(type(each) in (int, float, bool) for each in values)
    assert as_declared(found, kind) == found


@pytest.mark.parametrize(("value", "kind"), REFUSED, ids=str)
def test_a_value_of_another_kind_is_refused(value, kind):
    with pytest.raises(TypeError):
        as_declared(value, kind)


@given(st.integers(-(10**6), 10**6))
def test_an_integer_is_the_float_of_the_same_value(number):
    assert as_declared(number, float) == as_declared(np.int64(number), float) == number


@dataclass(frozen=True, kw_only=True)
class Walk(Config):
    """Settings of a walk."""

    steps: int
    stride: float = 0.5
    stops: Sequence[int] = ()

    def errors(self):
        if self.steps < 1:
            yield f"steps must be at least 1, got {self.steps}."


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        ({"steps": 3}, []),
        ({"steps": 0}, ["steps must be at least 1, got 0."]),
        ({}, ["steps has no default: set it."]),
        (
            {"steps": 0, "strid": 2, "pace": 1},
            [
                "unknown setting 'strid'. Did you mean 'stride'? Expected a setting of test_config.",
                "unknown setting 'pace'. Expected a setting of test_config.",
                "steps must be at least 1, got 0.",
            ],
        ),
        (
            {"steps": "0", "stops": 4},
            [
                "steps must be a whole number, got '0'.",
                "stops must be a list of whole numbers, got 4; write (4,).",
            ],
        ),
    ],
)
def test_every_error_is_one_sentence(given, sentences):
    assert [each.replace(Walk.__module__, "test_config") for each in Walk.errors_in(given)] == sentences
    if sentences:
        with pytest.raises(ConfigError):
            Walk.checked(given)
    else:
        assert Walk.checked(given).values() == {"steps": 3, "stride": 0.5, "stops": ()}


def test_settings_say_themselves_what_is_wrong_with_them():
    with pytest.raises(TypeError, match="abstract"):
        Config()  # pyright: ignore[reportAbstractUsage]


@pytest.mark.parametrize("settings", [rlnorm.dqn.Settings, rlnorm.supervised.Settings])
def test_no_norm_is_the_norm_none(settings):
    settable = {"env": "CartPole-v1", "dataset": "digits", "seeds": [0], "rates": [0.1], "steps": 20_000, "norm": None}
    own = {name: value for name, value in settable.items() if name in {field.name for field in fields(settings)}}
    assert list(settings.errors_in(own)) == []
    assert settings(**own).norm == "none"
