"""The laws of exact claims: a verdict follows from the measurement alone, so a wrong formula turns it."""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import rlnorm.claims
from rlnorm.study.cases import Case
from rlnorm.study.exact import Exact, Judgement, Quantity, judge, run

PARTS = {
    f"{found.name}: {name}": part
    for found in pkgutil.iter_modules(rlnorm.claims.__path__)
    for name, part in importlib.import_module(f"rlnorm.claims.{found.name}").CLAIM.parts.items()
    if isinstance(part, Exact)
}


def judged(part: Exact) -> Judgement:
    """The part's verdict over a few of its cases."""
    return judge(part, run(replace(part, cases=max(3, part.cases * 60 // 1000)), "test", 0))


def outcome(part: Exact) -> str:
    return judged(part).outcome


def stretched(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.multiply(formula(case), 1.001)


def flipped(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.negative(formula(case))


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
    wrong = [make(part.formula, part) for make in (stretched, flipped, shifted)]
    assert "refuted" in [outcome(replace(part, formula=formula)) for formula in wrong]


def test_the_law_itself_can_fail():
    def draw(rng: np.random.Generator) -> Case:
        return {"x": rng.normal(size=3)}

    deaf = Exact(
        says="x = x", formula=lambda c: c["x"], truth=lambda c: c["x"], draw=draw, scale=lambda c: 1.0, tolerance=9.0
    )
    assert outcome(replace(deaf, formula=stretched(deaf.formula, deaf))) == "supported"
