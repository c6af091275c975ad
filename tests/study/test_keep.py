"""What is kept of a study: complete, exact enough to judge again, and readable as Markdown."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, study, unfinished_claim

from rlnorm.study.claim import Effect
from rlnorm.study.judge import Sample, judge
from rlnorm.study.keep import keep, page, scores
from rlnorm.study.metrics import METRICS
from rlnorm.study.results import ClaimResult

CLAIMS = {
    "effect": dqn_claim(),
    "ratio": relu_claim("updates"),
    "exact": exact_claim(),
    "unfinished": unfinished_claim(),
    "diverged": all_diverged_claim(),
}


def rows(claim: ClaimResult) -> list[dict[str, str]]:
    return list(csv.DictReader(scores(claim).splitlines()))


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_page_tells_every_part_and_every_arm_once(claim: ClaimResult):
    lines = page(claim, study(claim)).splitlines()
    assert lines[0] == f"# {claim.id}"
    tables = [line for line in lines if line.startswith("| ")]
    for part in claim.parts:
        told = [line for line in tables if line.startswith((f"| {part.name} |", f"| {part.name} (beside) |"))]
        assert len(told) == 1 + len(part.arms)
        assert part.verdict.verdict in told[0]
        assert [line.split(" | ")[1] for line in told[1:]] == list(part.arms)
    prose = [line for line in lines if not line.startswith("|")]
    assert max(map(len, prose)) <= 120


def test_a_page_says_what_made_it():
    made = dqn_claim(command="rlnorm run dqn-ln --preset full")
    first, second = made.parts
    made = replace(made, parts=(replace(first, commits=("b2", "a1")), replace(second, commits=("a1",))))
    text = " ".join(page(made, study(made)).split())
    assert "Command: `rlnorm run dqn-ln --preset full`; rows computed at commit a1, b2, judged at 0123456789abc" in text
    assert "torch 2.13.0; x86_64, 2 cores." in text
    assert "env CartPole-v1 · " in text
    assert "norm layer" not in text.partition("All arms that were run share")[2]


def test_kept_scores_are_enough_to_judge_again():
    claim = dqn_claim()
    for part in claim.parts:
        kept = {row["arm"]: row for row in rows(claim) if row["part"] == part.name}
        samples = {}
        for arm, row in kept.items():
            lost = np.isin(row["seeds"].split(), row["diverged seeds"].split())
            samples[arm] = Sample(np.array(row["scores"].split(), float), lost)
            assert row["seeds"].split() == [str(seed) for seed in part.arms[arm].seeds]
            assert len(row["final returns"].split()) == len(part.arms[arm].seeds)
        effect = claim.claim.parts[part.name]
        assert isinstance(effect, Effect)
        again = judge(effect.question, samples, METRICS[part.metric].metric)
        assert again.outcome == part.verdict.verdict
        assert again.estimate == pytest.approx(part.verdict.estimate, abs=1e-4)


def test_runs_that_diverged_are_named():
    claim = all_diverged_claim()
    kept = {row["arm"]: row for row in rows(claim)}
    assert kept["layer"]["diverged seeds"] == kept["layer"]["seeds"]
    assert not kept["none"]["diverged seeds"]


def test_a_bar_in_a_name_does_not_break_the_table():
    part = replace(dqn_claim().parts[0], name="a | b")
    told = page(dqn_claim(parts=(part,)), study()).splitlines()
    assert any(line.startswith("| a \\| b | ") for line in told)


def test_every_claim_gets_its_files_and_only_scored_ones_a_table(tmp_path: Path):
    written = keep(study(), tmp_path / "deep" / "er")
    names = {
        "bn-grad-input-short.md",
        "bn-relu.csv",
        "bn-relu.md",
        "dqn-bn.csv",
        "dqn-bn.md",
        "dqn-ln.csv",
        "dqn-ln.md",
    }
    assert {path.name for path in written} == names
    assert {path.name for path in (tmp_path / "deep" / "er").iterdir()} == names
