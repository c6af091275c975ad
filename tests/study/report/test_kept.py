"""Kept answers are read back from the pages that were written, to the digit that they show."""

from pathlib import Path

import pytest
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, study, unfinished_claim

from rlnorm.study.judge import ClaimResult
from rlnorm.study.report import kept, markdown


@pytest.mark.parametrize(
    "claim",
    [
        dqn_claim(command="rlnorm run dqn-ln --preset full"),
        relu_claim("updates"),
        exact_claim(),
        unfinished_claim(),
        all_diverged_claim(),
    ],
    ids=lambda claim: f"{claim.id} {claim.overall.outcome}",
)
def test_a_page_is_read_back(claim: ClaimResult):
    found = kept.read(markdown.page(claim, study(claim)))
    assert found
    assert (found.id, found.title, found.outcome) == (claim.id, claim.claim.title, claim.overall.outcome)
    assert found.command == claim.command
    for part, row in zip(claim.parts, found.parts, strict=True):
        judged = part.verdict.judgement
        assert (row.name, row.outcome) == (part.name, judged.outcome)
        for told, value in ((row.estimate, judged.estimate), (row.low, judged.low), (row.high, judged.high)):
            assert told == (None if value is None else pytest.approx(value, rel=6e-3, abs=6e-4))
        assert row.runs == (judged.n if part.arms else None)


def test_other_pages_are_no_answers(tmp_path: Path):
    assert kept.read("# Something else\n\nwith a | table |\n") is None
    (tmp_path / "README.md").write_text("# What was run\n")
    (tmp_path / "dqn-ln.md").write_text(markdown.page(dqn_claim(), study()))
    assert set(kept.answers(tmp_path)) == {"dqn-ln"}


def test_an_earlier_answer_stands_until_there_is_another(tmp_path: Path):
    folder = tmp_path / kept.EARLIER
    folder.mkdir()
    for where, expected in ((folder, "earlier/dqn-ln.md"), (tmp_path, "dqn-ln.md")):
        (where / "dqn-ln.md").write_text(markdown.page(dqn_claim(), study()))
        kept.answers.cache_clear()
        assert kept.answers(tmp_path)["dqn-ln"].page == expected


def test_those_of_the_checkout_are_found():
    assert {"dqn-ln", "dqn-bn"} <= set(kept.answers())
    earlier = kept.read((kept.FOLDER / kept.EARLIER / "dqn-ln.md").read_text("utf-8"))
    assert earlier
    assert earlier.parts[4].estimate == 0.159
