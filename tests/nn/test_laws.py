"""Every law over every norm; and that the laws can fail, and that no norm is missing."""

from pathlib import Path
from types import FunctionType

import pytest
import torch

import rlnorm.nn
from rlnorm.nn import NORMS, BatchNorm1d, GroupNorm, LayerNorm, Norm
from rlnorm.nn.check import cases_of
from rlnorm.nn.laws import (
    INVARIANCES,
    LAWS,
    Case,
    ScaledBackward,
    assert_adjoint,
    derivatives,
    facts,
    precision,
    transforms,
)
from tests.nn.broken_norms import BROKEN, FollowsBatchesSideBySide

CASES = [case for norm in NORMS.values() for case in cases_of(norm)]


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
@pytest.mark.parametrize("case", CASES, ids=str)
def test_law(case, law):
    law(case)


COMPILED = [
    pytest.param(case, mode, id=f"{case}-{mode}")
    for case in CASES
    for mode in (case.modes() if case.first else ("train",))
]


@pytest.mark.nightly
@pytest.mark.parametrize(("case", "mode"), COMPILED)
def test_code_generated_by_inductor_is_eager(case, mode):
    transforms.assert_compiled_is_eager(case, (mode,), "inductor")


def test_code_generated_for_the_norm_with_most_state_is_eager():
    """The others: under the marker `nightly`, and as populations in `test_members.py`."""
    transforms.assert_compiled_is_eager(Case(NORMS["batch_renorm"], 0), ("track",), "inductor")


def test_every_file_with_a_norm_is_found_under_its_own_name():
    folder = Path(rlnorm.nn.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "\nNORM = Norm(" in path.read_text()}
    assert set(NORMS) == files


def test_every_function_that_looks_like_a_law_is_one():
    for module in (derivatives, facts, precision, transforms):
        public = {
            n: f for n, f in vars(module).items() if isinstance(f, FunctionType) and f.__module__ == module.__name__
        }
        takes_a_case = {n for n, f in public.items() if list(f.__annotations__.values()) == [Case, None]}
        assert {n for n in takes_a_case if not n.startswith("_")} <= set(LAWS)


def test_declared_invariances_are_words_that_the_laws_know():
    for case in CASES:
        assert case.norm.invariant_to <= {*INVARIANCES, "weight scale"}


def test_every_case_has_a_name_of_its_own():
    assert len({str(case) for case in CASES}) == len(CASES)


def test_adjoint_notices_an_error_of_one_in_a_thousand():
    module = Case(NORMS["layer"], 0).module()
    x = Case(NORMS["layer"], 0).input()
    assert_adjoint(module, x)
    with pytest.raises(AssertionError):
        assert_adjoint(ScaledBackward(module, 1.001), x)


def test_there_is_a_broken_norm_for_every_law():
    assert set(BROKEN) == set(LAWS)


@pytest.mark.parametrize("name", LAWS)
def test_law_fails_for_a_broken_norm_and_says_why(name):
    case, said = BROKEN[name]
    with pytest.raises(AssertionError, match=said):
        LAWS[name](case)


def test_batches_side_by_side_that_enter_one_set_of_statistics_are_noticed():
    case = Case(Norm("broken", {0: FollowsBatchesSideBySide}), 0)
    with pytest.raises(AssertionError, match="mode train: several batches entered one set of statistics"):
        transforms.inputs_stacked_are_inputs_alone(case)


def test_a_variance_that_holds_the_means_rounding_error_is_noticed():
    def centred_once(x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred * (centred.square().mean(-1, keepdim=True) + 1e-5).rsqrt()

    # Of 84 values: torch's mean of fewer is exact more often than not.
    x = torch.full((2, 84), 12345.678)
    assert centred_once(x).abs().max() > 0.1
    for norm in (LayerNorm(84), BatchNorm1d(2), GroupNorm(2, 84)):
        assert norm(x.T.contiguous() if isinstance(norm, BatchNorm1d) else x).abs().max() == 0


@pytest.mark.parametrize("recorded", [False, True])
def test_gradients_hold_no_rounding_error_of_the_mean(recorded, rng):
    g = torch.randn(2, 84, generator=rng)
    slopes = []
    for dtype in (torch.float32, torch.float64):
        x = torch.full((2, 84), 12345.678, requires_grad=True)
        y = LayerNorm(84).to(dtype)(x.to(dtype))
        slopes.append(torch.autograd.grad(y, x, g.to(dtype), create_graph=recorded)[0].detach())
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_ours_are_traced_without_a_warning(case):
    """Each of them says that a trace may not hold for other inputs."""
    with torch.no_grad():
        torch.jit.trace(case.module().eval(), (case.input(),))
