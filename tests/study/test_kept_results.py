"""The kept pages say what the judge says of the kept scores: verdicts, estimates and intervals, to the digit."""

from pathlib import Path

import pytest
from kept import Kept

from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import overall
from rlnorm.study.report import wording

FOLDER = Path(__file__).parents[2] / "docs/results"
KEPT = sorted(path.stem for path in FOLDER.glob("*.csv"))
CLAIMS = shipped()


def kept(name: str, folder: Path = FOLDER) -> Kept:
    """The kept results of one of our claims."""
    return Kept(folder, name, CLAIMS[name].claim)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_page_says_what_its_scores_say(name: str):
    assert len(kept(name).rejudged()) >= 6
    assert kept(name).differing() == []


@pytest.mark.parametrize("name", KEPT)
def test_its_overall_verdict_follows_from_those_of_its_parts(name: str):
    claim, parts = CLAIMS[name].claim, kept(name).rejudged()
    judgements, fair = [parts[part].judgement for part in claim.decisive], claim.fair(claim.decisive)
    verdict = wording.sentence(overall(judgements, claim.overall, fair))
    assert f"**{verdict}.**" in kept(name).page


def test_a_changed_score_is_noticed(tmp_path: Path):
    for suffix in (".md", ".csv"):
        text = (FOLDER / f"dqn-ln{suffix}").read_text("utf-8")
        (tmp_path / f"dqn-ln{suffix}").write_text(text.replace("24,0.001,return_auc,0.", "24,0.001,return_auc,0.1", 1))
    assert kept("dqn-ln", tmp_path).differing() == ["CartPole-v1, common rate"]
