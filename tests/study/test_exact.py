"""Exact parts: run and judged; and the derivatives they rest on."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rlnorm.study import cases
from rlnorm.study.cases import Case, derivative, derivative_by_column
from rlnorm.study.claim import Claim
from rlnorm.study.exact import WHY_ROUNDING, Exact, judge, page, run
from rlnorm.study.judge import Verdict


def draw(rng: np.random.Generator) -> Case:
    return {"x": cases.values(rng, cases.size(rng))}


SUM = Exact(
    says="m <x> = sum x",
    formula=lambda case: len(case["x"]) * case["x"].mean(),
    truth=lambda case: case["x"].sum(),
    draw=draw,
    scale=lambda case: np.abs(case["x"]).sum(),
)
WRONG = replace(SUM, says="(m-1) <x> = sum x", formula=lambda case: (len(case["x"]) - 1) * case["x"].mean())


def test_an_identity_is_supported_with_its_largest_error():
    records = list(run(SUM, "sum", seed=0))
    judgement = judge(SUM, records)
    assert judgement.outcome == "supported"
    assert judgement.n == 1000
    assert judgement.estimate == max(record["error"] for record in records) < 1e-14
    assert "counterexample" not in judgement.details


def test_a_wrong_formula_is_refuted_with_the_smallest_case_in_round_numbers():
    judgement = judge(WRONG, run(WRONG, "sum", seed=0))
    assert judgement.outcome == "refuted"
    assert judgement.details["cases that miss"] == 1000
    found = judgement.details["counterexample"]
    assert isinstance(found, dict)
    assert len(found["x"]) == 2
    assert found["x"] == np.round(found["x"]).tolist()
    assert found["formula"] == np.mean(found["x"])
    assert found["truth"] == np.sum(found["x"])


def test_one_miss_is_enough():
    records: list[dict[str, object]] = [{"step": k, "size": 3, "error": 0.0} for k in range(999)]
    assert judge(SUM, records).outcome == "supported"
    records.append({"step": 999, "size": 3, "error": 1e-3, "counterexample": {"x": 1.0}})
    assert judge(SUM, records).outcome == "refuted"


def test_no_record_decides_nothing():
    assert judge(SUM, []).outcome == "insufficient"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_misses(value: float):
    part = replace(SUM, formula=lambda case: np.full(3, value), truth=lambda case: value)
    judgement = judge(part, run(part, "sum", seed=0))
    assert judgement.outcome == "refuted"
    assert judgement.estimate is None


@pytest.mark.parametrize(
    ("relation", "factor", "outcome"),
    [("<=", 0.5, "supported"), ("<=", 2, "refuted"), (">=", 2, "supported"), (">=", 0.5, "refuted")],
)
def test_bounds_may_be_missed_on_one_side_only(relation: str, factor: float, outcome: str):
    def size(case: Case) -> float:
        return float(np.abs(case["x"]).max())

    bound = replace(SUM, formula=lambda case: factor * size(case), truth=size, scale=size)
    part = replace(bound, relation="<=") if relation == "<=" else replace(bound, relation=">=")
    assert judge(part, run(part, "bound", seed=0)).outcome == outcome


def test_seed_and_claim_decide_the_cases():
    rows = list(run(SUM, "sum", seed=0))
    assert rows == list(run(SUM, "sum", seed=0))
    assert rows != list(run(SUM, "sum", seed=1))
    assert rows != list(run(SUM, "other", seed=0))


@pytest.mark.parametrize("part", [SUM, WRONG])
def test_records_survive_json(part: Exact):
    rows = list(run(part, "sum", seed=0))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_the_page_fits_80_columns_and_tells_all():
    claim = Claim(statement="word " * 40, source="somewhere", notes=("N0",), parts={"right": SUM, "wrong": WRONG})
    rows = [Verdict("sum", "overall", "refuted")]
    for name, part in (("right", SUM), ("wrong", WRONG)):
        found = judge(part, run(part, "sum", seed=0))
        rows.append(
            Verdict("sum", name, found.outcome, margin=part.tolerance, reason=found.reason, details=found.details)
        )
    text = page({"sum": replace(claim, decisive=("wrong",))}, rows)
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).count(WHY_ROUNDING) == 1
    for words in (
        "sum: REFUTED",
        "* right: supported (beside)",
        "* wrong: refuted",
        WRONG.says,
        "Smallest counterexample",
        "N0",
    ):
        assert words in text


FUNCTIONS: dict[str, Callable[[np.ndarray], complex]] = {
    "polynomial": lambda x: (x**3 - 2 * x).sum(),
    "quotient": lambda x: x[0] / np.sqrt((x**2).sum()),
    "exponential": lambda x: np.exp(x).prod(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_complex_step_agrees_with_central_differences(name: str):
    function, x = FUNCTIONS[name], np.array([0.3, -1.2, 0.7])
    differences = [(function(x + h) - function(x - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(derivative(function, x), np.real(differences), rtol=1e-8)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_complex_step_is_exact_to_rounding(size: float):
    x = size * np.array([0.3, -1.2, 0.7])
    np.testing.assert_allclose(derivative(lambda x: (x**3).sum(), x), 3 * x**2, rtol=1e-15)
    np.testing.assert_allclose(derivative_by_column(lambda x: (x**3).sum(axis=0), x), 3 * x**2, rtol=1e-15)


def test_the_slope_of_batch_norm_agrees_with_central_differences():
    case = {"x": np.array([0.3, -1.2, 0.7]), "dy": np.array([1.0, 2, -3]), "gamma": 2.0, "beta": 1.0, "eps": 0.1}

    def loss(x: np.ndarray) -> float:
        return case["dy"] @ cases.normalized(case, x[:, None]).y[:, 0]

    differences = [(loss(case["x"] + h) - loss(case["x"] - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(cases.input_slope(case), differences, atol=1e-8)


def test_cases_span_what_they_promise():
    rng = np.random.default_rng(0)
    drawn = [cases.batch(rng) for _ in range(1000)]
    sizes = [len(case["x"]) for case in drawn]
    spreads = [np.abs(case["x"]).max() for case in drawn]
    eps = np.array([case["eps"] for case in drawn])
    assert min(sizes) == 2
    assert 400 < max(sizes) <= 512
    assert min(spreads) < 1e-5
    assert max(spreads) > 1e5
    assert (eps == 0).sum() > 200
    assert eps.max() > 0.5
    assert {np.sign(case["gamma"]) for case in drawn} == {-1, 1}
