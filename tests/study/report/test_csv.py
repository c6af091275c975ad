"""Scores as CSV: one line a run, and enough to judge again."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, unfinished_claim

from rlnorm.study.claim import Effect
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.judge import ClaimResult
from rlnorm.study.judge.rules import judge
from rlnorm.study.judge.verdict import Sample
from rlnorm.study.report.csv import scores

HEAD = "part,arm,seed,rate,metric,score,diverged,final_return,second_score"


def rows(claim: ClaimResult) -> list[dict[str, str]]:
    return list(csv.DictReader(scores(claim).splitlines()))


def test_scores_are_enough_to_judge_again():
    claim = dqn_claim()
    for part in claim.parts:
        samples = {}
        for name, arm in part.arms.items():
            runs = [row for row in rows(claim) if (row["part"], row["arm"]) == (part.name, name)]
            assert [int(row["seed"]) for row in runs] == list(arm.seeds)
            assert {(float(row["rate"]), row["metric"]) for row in runs} == {(arm.rate, part.metric)}
            assert arm.final is not None
            np.testing.assert_allclose([float(row["final_return"]) for row in runs], arm.final, rtol=1e-5)
            lost = np.array([{"0": False, "1": True}[row["diverged"]] for row in runs])
            samples[name] = Sample(np.array([float(row["score"]) for row in runs]), lost)
        effect = claim.claim.parts[part.name]
        assert isinstance(effect, Effect)
        again, first = judge(effect.question, samples, METRICS[part.metric].metric), part.verdict.judgement
        assert (again.outcome, again.diverged) == (first.outcome, first.diverged)
        assert again.estimate == pytest.approx(first.estimate, abs=1e-4)


def test_there_is_one_line_a_run_and_nothing_else():
    claim = dqn_claim()
    head, *lines = scores(claim).splitlines()
    assert head == HEAD
    assert len(lines) == len({tuple(line.split(",")[:4]) for line in lines}) == 4 * 16
    assert scores(exact_claim()) == scores(unfinished_claim()) == HEAD + "\n"


def test_runs_that_diverged_are_marked():
    found = {(row["arm"], row["diverged"]) for row in rows(all_diverged_claim())}
    assert found == {("none", "0"), ("layer", "1")}


def test_what_is_no_dqn_agent_has_no_return():
    assert {row["final_return"] for row in rows(relu_claim())} == {""}


def test_names_with_commas_and_quotes_are_read_back():
    whole, name = relu_claim(), 'depth 2, "deep"\nor so'
    part = replace(whole.parts[0], name=name)
    read = csv.DictReader(scores(replace(whole, parts=(part,))).splitlines(keepends=True))
    assert {row["part"] for row in read} == {name}
