"""Every law over every norm; and that the laws can fail, and that no norm is missing."""

from pathlib import Path
from types import FunctionType

import pytest
import torch
from torch import Tensor, nn

import rlnorm.nn
from rlnorm.nn import NORMS, Norm
from rlnorm.nn.check import cases_of
from rlnorm.nn.laws import INVARIANCES, LAWS, Case, ScaledBackward, assert_adjoint, derivatives, facts, transforms

CASES = [case for norm in NORMS.values() for case in cases_of(norm)]


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
@pytest.mark.parametrize("case", CASES, ids=str)
def test_law(case, law):
    law(case)


def test_every_file_with_a_norm_is_found_under_its_own_name():
    folder = Path(rlnorm.nn.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "\nNORM = Norm(" in path.read_text()}
    assert set(NORMS) == files


def test_every_function_that_looks_like_a_law_is_one():
    for module in (derivatives, facts, transforms):
        public = {
            n: f for n, f in vars(module).items() if isinstance(f, FunctionType) and f.__module__ == module.__name__
        }
        takes_a_case = {n for n, f in public.items() if list(f.__annotations__.values())[:1] == [Case]}
        assert {n for n in takes_a_case if not n.startswith("_")} <= set(LAWS)


def test_declared_invariances_are_words_that_the_laws_know():
    for norm in NORMS.values():
        assert norm.invariant_to <= {*INVARIANCES, "weight scale"}


def test_adjoint_notices_an_error_of_one_in_a_thousand():
    module = Case(NORMS["layer"], 0).module()
    x = Case(NORMS["layer"], 0).input()
    assert_adjoint(module, x)
    with pytest.raises(AssertionError):
        assert_adjoint(ScaledBackward(module, 1.001), x)


class Broken(nn.Module):
    """Normalizes over the batch, re-binds its statistic, keeps an integer one, and forgets the mean's gradient."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.running_mean: Tensor
        self.register_buffer("running_mean", torch.zeros(width, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(0, keepdim=True)
        self.running_mean = self.running_mean + 1
        return (x - mean.detach()) / (x.var(0, keepdim=True) + 1e-5).sqrt()


BROKEN_LAWS = {
    "an_empty_batch_passes",
    "backward_is_the_adjoint_of_the_derivative",
    "bad_input_is_refused_before_anything_changes",
    "couples_the_batch_as_declared",
    "first_derivatives_are_right",
    "invariant_as_declared",
    "second_derivatives_are_right",
    "statistics_are_updated_in_place",
}


@pytest.mark.parametrize("name", sorted(BROKEN_LAWS))
def test_law_fails_for_a_broken_norm(name):
    with pytest.raises((AssertionError, RuntimeError)):
        LAWS[name](Case(Norm("broken", {0: Broken}), 0))
