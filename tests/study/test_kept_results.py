"""The kept pages say what the judge says of the kept scores: verdicts, estimates and intervals, to the digit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from kept import Kept

from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import Judgement, Outcome, Verdict, overall
from rlnorm.study.report import wording

FOLDER = Path(__file__).parents[2] / "docs/results"
KEPT = sorted(path.stem for path in FOLDER.glob("*.csv"))
CLAIMS = shipped()


def kept(name: str, folder: Path = FOLDER) -> Kept:
    """The kept results of one of our claims."""
    return Kept(folder, name, CLAIMS[name].claim)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_page_says_what_its_scores_say(name: str):
    assert kept(name).rejudged()
    assert kept(name).differing() == []


@pytest.mark.parametrize("name", KEPT)
def test_its_overall_verdict_follows_from_those_of_its_parts(name: str):
    claim, page = CLAIMS[name].claim, kept(name)
    scored, shown = page.rejudged(), page.shown()
    judgements, fair = [_judgement(part, scored, shown) for part in claim.decisive], claim.fair(claim.decisive)
    verdict = wording.sentence(overall(judgements, claim.overall, fair))
    assert f"**{verdict}.**" in page.page


def _judgement(part: str, scored: Mapping[str, Verdict], shown: Mapping[str, Sequence[str]]) -> Judgement:
    """That of a part's scores; what the page says of an exact part, which has none and leaves nothing to chance."""
    if part in scored:
        return scored[part].judgement
    return Judgement(cast(Outcome, shown[part][0]) if part in shown else "insufficient", "", relative_p=0.0)


def test_a_changed_score_is_noticed(tmp_path: Path):
    for suffix in (".md", ".csv"):
        text = (FOLDER / f"bn-overfit{suffix}").read_text("utf-8")
        (tmp_path / f"bn-overfit{suffix}").write_text(
            text.replace("none,8,0.03,accuracy,0.", "none,8,0.03,accuracy,0.1", 1)
        )
    assert kept("bn-overfit", tmp_path).differing() == ["100 images"]
