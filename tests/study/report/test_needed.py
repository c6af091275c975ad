"""The runs that a claim needs, told in a table and by the command line."""

from pathlib import Path

import pytest

from rlnorm import cli
from rlnorm.study.claim import Question
from rlnorm.study.claim.load import shipped
from rlnorm.study.report import needed
from rlnorm.study.report.csv import samples

KEPT = Path(__file__).parents[3] / "docs/results/earlier/dqn-ln.csv"


def test_a_line_a_part_with_what_is_assumed_needed_and_declared():
    claim = shipped()["dqn-ln"].claim
    head, *lines, below = needed.table(claim, samples(KEPT))
    assert head.split()[-3:] == ["needed", "alone", "declared"]
    # What simulation through the judge gave for the same scores: 35, 61, 60, 43, 69, 130.
    assert [int(line.split()[-3]) for line in lines] == pytest.approx([35, 61, 60, 43, 69, 130], rel=0.06)
    # No effect supports the claim, which every part must.
    assert [[line.split()[i] for i in (-4, -2, -1)] for line in lines] == [["0", "–", "64"]] * 6
    assert below == "alone: those with which the claim is refuted by this part, one of 3 that could (Holm)."
    smaller = [int(line.split()[-3]) for line in list(needed.table(claim, samples(KEPT), effect=-0.05))[1:-1]]
    assert all(fewer < int(line.split()[-3]) for fewer, line in zip(smaller, lines, strict=True))


def test_a_part_that_decides_alone_needs_the_runs_of_its_corrected_level():
    claim = shipped()["dqn-ln"].claim
    _, *lines, _ = needed.table(claim, samples(KEPT), effect=0.1)
    for line in lines:
        *_, runs, alone, _ = line.split()
        if "common rate" in line:
            assert alone == "–"  # at unfair rates none decides alone (rule 6)
        else:
            assert int(runs) < int(alone)


@pytest.mark.parametrize(
    ("asks", "scale", "margin", "expected"),
    [("superior", "difference", 0.05, 0.1), ("superior", "ratio", 1.25, 1.5625), ("not better", "ratio", 1.25, 1.0),
     ("equivalent", "difference", 0.05, 0.0)],
)  # fmt: skip
def test_a_question_expects_twice_its_margin_or_nothing(asks, scale, margin: float, expected: float):
    asked = Question(asks=asks, treatment="a", reference="b", margin=margin, scale=scale)
    assert needed.assumed(asked) == pytest.approx(expected)


def test_the_command_reads_kept_scores_and_says_where_there_are_none(capsys: pytest.CaptureFixture, tmp_path: Path):
    cli.main(["power", "dqn-ln"])
    assert "LunarLander-v3, own best rate" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        cli.main(["power", "dqn-ln", "--results", str(tmp_path)])
    assert ended.value.code == 2
    assert "rlnorm: no scores of dqn-ln are known: " in capsys.readouterr().err
