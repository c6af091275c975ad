"""Norms by name and by path."""

import numpy as np
import pytest
import torch

from rlnorm.errors import ConfigError
from rlnorm.nn import (
    NORMS,
    BatchNorm1d,
    LayerNorm,
    Norm,
    ObservationNorm,
    RMSNorm,
    check,
    functional,
    get_norm,
    load_norm,
)

OWN = """
import torch
from torch import nn
from rlnorm.nn import Norm

class Halve(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
    def forward(self, x):
        if x.shape[-1] != self.width:
            raise RuntimeError(f"expected {self.width} features, got {x.shape[-1]}")
        return x / 2

NORM = Norm("halve", {0: Halve})
"""


def test_none_comes_first_and_is_the_identity(rng):
    assert next(iter(NORMS)) == "none"
    x = torch.randn(3, 4, generator=rng)
    assert NORMS["none"].make(4)(x) is x


def test_unknown_name_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown norm 'btach'\. Did you mean 'batch'\?"):
        get_norm("btach")


def test_a_form_that_is_missing_is_said():
    with pytest.raises(ConfigError, match="no form for 7 spatial dimensions"):
        NORMS["batch"].make(4, ndim=7)


def test_an_argument_that_is_none_is_said():
    with pytest.raises(
        ConfigError, match=r"norm 'layer': got an unexpected keyword argument 'momentum'; it takes: eps, "
    ):
        NORMS["layer"].make(4, momentum=0.1)


def test_a_norm_that_only_wraps_makes_the_identity(rng):
    x = torch.randn(3, 4, generator=rng)
    assert Norm("wraps").make(4)(x) is x
    layer = torch.nn.Linear(4, 4)
    assert Norm("stands").wrap(layer) is layer


def test_own_norm_by_path(tmp_path, rng):
    file = tmp_path / "halve.py"
    file.write_text(OWN)
    x = torch.randn(3, 4, generator=rng)
    assert torch.equal(get_norm(str(file)).make(4)(x), x / 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no norm file at"),
        ("NORM = 3", "defines no norm"),
        ("x = 1", "defines no norm"),
        ("import nowhere_at_all", "does not import: ModuleNotFoundError"),
    ],
)
def test_bad_file_is_one_sentence(tmp_path, text, said):
    file = tmp_path / "own.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_norm(file)


def test_check_norm_holds_every_regime_to_the_laws_and_says_which_broke_one(tmp_path):
    file = tmp_path / "warm.py"
    file.write_text(
        "from rlnorm.nn import Norm\nfrom rlnorm.nn.layer import NORM as LAYER\n"
        'wrong = Norm("warm-open", {0: LAYER.modules[0]})\n'
        'NORM = Norm("warm", {0: LAYER.modules[0]}, invariant_to=LAYER.invariant_to, regimes=(wrong,))\n'
    )
    report = check.check_norm(file)
    broken = [(result.law, str(result.case)) for result in report.results if not result.holds]
    assert broken == [("invariant_as_declared", "warm-open-0d")]
    assert "broken by warm-open at 0 spatial dimensions: invariant as declared: " in str(report)


def test_check_norm_reports_each_broken_law(tmp_path):
    file = tmp_path / "halve.py"
    file.write_text(OWN)
    report = check.check_norm(file)
    broken = {result.law for result in report.results if not result.holds}
    assert broken == {"bad_input_is_refused_before_anything_changes"}
    assert not report.holds
    assert f"{len(report.results) - 1} of {len(report.results)} laws hold" in str(report)
    assert "int64 was accepted" in str(report)


@pytest.mark.parametrize("integer", [np.int64, np.uint8])
@pytest.mark.parametrize("name", NORMS)
def test_any_integer_is_a_width(name, integer):
    for ndim in NORMS[name].modules:
        norm, expected = NORMS[name].make(integer(4), ndim), NORMS[name].make(4, ndim)
        assert str(norm) == str(expected)
        assert all(type(value) is type(vars(expected)[key]) for key, value in vars(norm).items())


SHAPES = [np.prod((4, 3)), np.int32(12), 12, (np.int64(4), 3), [4, 3], torch.Size((4, 3))]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_any_integers_are_a_shape(shape):
    expected = (12,) if np.ndim(shape) == 0 else (4, 3)
    x = torch.zeros(2, *expected)
    for norm in (LayerNorm(shape), RMSNorm(shape), ObservationNorm(shape)):
        assert norm(x).shape == x.shape
        assert getattr(norm, "normalized_shape", getattr(norm, "shape", None)) == expected
    if np.ndim(shape):
        assert functional.layer_norm(x, shape).shape == functional.rms_norm(x, shape).shape == x.shape


@pytest.mark.parametrize("make", [LayerNorm, RMSNorm, ObservationNorm, BatchNorm1d])
def test_a_fraction_is_no_width(make):
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        make(3.0)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("Halve", "modules maps numbers of spatial dimensions to classes, such as {0: MyNorm}, got"),
        ("{0: Halve(4)}", "modules[0] must be a class that takes the width, got Halve"),
        (
            "{0: Halve}, invariant_to={'sample scael'}",
            "unknown invariance 'sample scael'. Did you mean 'sample scale'?",
        ),
        ("{0: Halve}, invariant_to='sample scale'", "invariant_to is a set of words"),
    ],
)
def test_facts_of_another_kind_are_said_before_any_law_is_run(tmp_path, declared: str, said: str):
    path = tmp_path / "halve.py"
    path.write_text(OWN.replace("{0: Halve}", declared))
    with pytest.raises(ConfigError) as error:
        check.check_norm(path)
    assert error.value.sentences[0].startswith(said)
