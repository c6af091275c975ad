"""What is kept of a study: a page of each claim, complete and readable, and its scores where there are any."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, study, unfinished_claim

from rlnorm.study.judge import ClaimResult
from rlnorm.study.report.markdown import keep, page

CLAIMS = {
    "effect": dqn_claim(),
    "ratio": relu_claim("updates"),
    "exact": exact_claim(),
    "unfinished": unfinished_claim(),
    "diverged": all_diverged_claim(),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_page_tells_every_part_and_every_arm_once(claim: ClaimResult):
    lines = page(claim, study(claim)).splitlines()
    assert lines[0] == f"# {claim.id}: {claim.claim.title}"
    assert claim.claim.statement in " ".join(lines)
    tables = [line for line in lines if line.startswith("| ")]
    for part in claim.parts:
        told = [line for line in tables if line.startswith((f"| {part.name} |", f"| {part.name} (beside) |"))]
        assert len(told) == 1 + len(part.arms)
        assert part.verdict.outcome in told[0]
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


def test_columns_are_those_that_the_runs_have():
    def arms(claim: ClaimResult) -> str:
        return next(line for line in page(claim, study(claim)).splitlines() if line.startswith("| part | arm |"))

    supervised = relu_claim()
    assert "| greedy return | diverged |" in arms(dqn_claim())
    assert arms(supervised) == "| part | arm | rate | runs | score | 95 % interval | diverged |"
    (part,) = supervised.parts
    both = replace(part, arms={name: replace(arm, second=arm.scores + 1) for name, arm in part.arms.items()})
    assert "| second score | diverged |" in arms(replace(supervised, parts=(both,)))


def test_what_a_cost_part_counts_are_repetitions():
    claim = dqn_claim()
    told = page(replace(claim, parts=(replace(claim.parts[0], kind="cost"),)), study(claim))
    assert "| 0.05 | 16 repetitions | Normalized return" in told
    assert "| 0.05 | 16 | Normalized return" in page(claim, study(claim))


def test_arms_that_found_the_goal_tell_when_and_others_a_dash():
    whole = dqn_claim()
    assert "met the goal" not in page(whole, study(whole))
    found = {"found": np.array([1.0, 0.0]), "first_success": np.array([300.0, 2_000.0])}
    of = {**whole.parts[0].arms, "layer": replace(whole.parts[0].arms["layer"], **found)}
    told = page(replace(whole, parts=(replace(whole.parts[0], arms=of), whole.parts[1])), study(whole))
    head, *rows = [line.strip("| ").split(" | ") for line in told.splitlines() if line.count("|") == 11]
    at = head.index("met the goal")
    assert head[at : at + 2] == ["met the goal", "first success"]
    assert [row[at : at + 2] for row in rows if len(row) > 1][:2] == [["–", "–"], ["0.500", "1150"]]


def test_a_bar_in_a_name_does_not_break_the_table():
    whole = dqn_claim()
    part = replace(whole.parts[0], name="a | b")
    claim = replace(whole.claim, parts={part.name: whole.claim.parts[whole.parts[0].name]})
    told = page(replace(whole, claim=claim, parts=(part,)), study()).splitlines()
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
