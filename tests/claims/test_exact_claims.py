"""The laws of exact claims: a verdict follows from the measurement alone, so a wrong formula turns it."""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import rlnorm.claims
from rlnorm.study.cases import Case
from rlnorm.study.exact import Exact, Quantity, judge, run
from rlnorm.study.judge import Judgement

PARTS = {
    f"{found.name}: {name}": part
    for found in pkgutil.iter_modules(rlnorm.claims.__path__)
    for name, part in importlib.import_module(f"rlnorm.claims.{found.name}").CLAIM.parts.items()
    if isinstance(part, Exact)
}


def judged(part: Exact) -> Judgement:
    """The part's verdict over a few of its cases."""
    return judge(part, run(replace(part, cases=max(2, part.cases * 40 // 1000)), "test", 0))


def outcome(part: Exact) -> str:
    return judged(part).outcome


def stretched(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.multiply(formula(case), 1.001)


def flipped(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.negative(formula(case))


def mirrored(formula: Quantity, part: Exact) -> Quantity:
    """As far on the other side of the bound."""
    return lambda case: 2 * np.asarray(part.truth(case)) - formula(case)


def shifted(formula: Quantity, part: Exact) -> Quantity:
    """A thousandth of the scale beside the mark, or twice the tolerance where that is more, to the forbidden side."""
    side = -1 if part.relation == ">=" else 1
    return lambda case: formula(case) + side * max(1e-3, 2 * part.tolerance) * np.asarray(part.scale(case))


@pytest.fixture(scope="module")
def judgements() -> dict[str, Judgement]:
    return {name: judged(part) for name, part in PARTS.items()}


@pytest.mark.parametrize("name", PARTS)
def test_a_wrong_formula_turns_the_verdict_to_refuted(name: str):
    part = PARTS[name]
    right = replace(part, formula=part.truth)
    assert outcome(right) == "supported"
    assert outcome(replace(part, formula=shifted(part.truth, part))) == "refuted"


@pytest.mark.parametrize("name", PARTS)
def test_a_supported_formula_stretched_or_flipped_is_refuted(name: str, judgements: dict[str, Judgement]):
    part = PARTS[name]
    if judgements[name].outcome == "refuted":
        assert "counterexample" in judgements[name].details
        return
    case = part.draw(np.random.default_rng(0))
    if part.relation != "=":
        mutants = [mirrored]
    elif np.max(np.abs(part.formula(case)) / part.scale(case)) > part.tolerance:
        mutants = [stretched, flipped]
    else:
        mutants = [shifted]  # what is 0 stays 0 when it is stretched
    assert "refuted" in [outcome(replace(part, formula=make(part.formula, part))) for make in mutants]


def test_the_law_itself_can_fail():
    def draw(rng: np.random.Generator) -> Case:
        return {"x": rng.normal(size=3)}

    deaf = Exact(
        says="x = x", formula=lambda c: c["x"], truth=lambda c: c["x"], draw=draw, scale=lambda c: 1.0, tolerance=9.0
    )
    assert outcome(replace(deaf, formula=stretched(deaf.formula, deaf))) == "supported"


CATALOGUE = """
    bn_forward bn_affine_moments bn_grad_affine bn_grad_variance bn_grad_mean bn_grad_input bn_grad_input_short
    linear_grad bn_bias_redundant bn_identity bn_folds bn_weight_scale bn_affine_after_activation bn_conv_axes
    bn_ema bn_permutation bn_coupling bn_gaussian bn_zero_one relu_saturates ln_batch_free wn_decouples wn_mean
    selu_fixed_point bn_memory
"""
SLOW = ("bn_grad_input_short: training", "selu_fixed_point: networks", "bn_memory: R")


def test_every_exact_claim_of_the_catalogue_is_declared():
    assert {name.split(":")[0] for name in PARTS} == set(CATALOGUE.split())


@pytest.mark.parametrize("name", [name for name in PARTS if not name.startswith(SLOW)])
def test_a_part_that_runs_no_network_meets_a_thousand_cases(name: str):
    assert PARTS[name].cases >= 1000
