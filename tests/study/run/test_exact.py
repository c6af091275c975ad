"""Exact parts: run and judged; and the derivatives they rest on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rlnorm.study.claim import Exact
from rlnorm.study.judge.exact import judge
from rlnorm.study.judge.verdict import ExactDetails
from rlnorm.study.run.exact import run
from rlnorm.textbook import random_cases
from rlnorm.textbook.random_cases import Case


def draw(rng: np.random.Generator) -> Case:
    return {"x": random_cases.values(rng, random_cases.size(rng))}


SUM = Exact(
    statement="m <x> = sum x",
    formula=lambda case: len(case["x"]) * case["x"].mean(),
    truth=lambda case: case["x"].sum(),
    draw=draw,
    scale=lambda case: np.abs(case["x"]).sum(),
)
WRONG = replace(SUM, statement="(m-1) <x> = sum x", formula=lambda case: (len(case["x"]) - 1) * case["x"].mean())


def test_an_identity_is_supported_with_its_largest_error():
    records = list(run(SUM, "sum", seed=0))
    judgement = judge(SUM, records)
    assert judgement.outcome == "supported"
    assert judgement.n == 1000
    assert judgement.estimate == max(record["error"] for record in records) < 1e-14
    assert isinstance(judgement.details, ExactDetails)
    assert judgement.details.counterexample is None


def test_a_wrong_formula_is_refuted_with_the_smallest_case_in_round_numbers():
    judgement = judge(WRONG, run(WRONG, "sum", seed=0))
    assert judgement.outcome == "refuted"
    assert isinstance(judgement.details, ExactDetails)
    assert judgement.details.missed == 1000
    found = judgement.details.counterexample
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
