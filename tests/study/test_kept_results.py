"""The kept pages say what the judge says of the kept scores: verdicts, estimates and intervals, to the digit."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from kept import Kept

from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import ClaimResult, Judgement, Outcome, PartResult, Verdict, overall
from rlnorm.study.report import answers, wording
from rlnorm.study.report import kept as pages

FOLDER = Path(__file__).parents[2] / "docs/results"
KEPT = sorted(path.stem for path in FOLDER.glob("*.csv"))
CLAIMS = shipped()
ESTIMATE = re.compile(r"[-+×]([\d.]+)\)")


def kept(name: str, folder: Path = FOLDER) -> Kept:
    """The kept results of one of our claims."""
    return Kept(folder, name, CLAIMS[name].claim)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_page_says_what_its_scores_say(name: str):
    assert kept(name).rejudged()
    assert kept(name).differing() == []


@pytest.mark.parametrize("name", KEPT)
def test_its_overall_verdict_and_its_sentence_follow_from_those_of_its_parts(name: str):
    claim, page = CLAIMS[name].claim, kept(name)
    scored, shown = page.rejudged(), page.shown()
    judgements, fair = [_judgement(part, scored, shown) for part in claim.decisive], claim.fair(claim.decisive)
    verdict = wording.sentence(overall(judgements, claim.overall, fair))
    assert f"**{verdict}.**" in page.page
    if set(claim.decisive) <= scored.keys():
        parts = tuple(PartResult(part, "effect", scored[part], "", {}, ()) for part in claim.decisive)
        overall_verdict = Verdict(name, "overall", Judgement("inconclusive", "Made up."))
        told = answers.sentence(ClaimResult(name, claim, parts, overall_verdict))
        there = said(page.page)
        assert ESTIMATE.sub("#", told) == ESTIMATE.sub("#", there)
        # The oldest scores have too few digits to give the last one again.
        figures = [[float(each) for each in ESTIMATE.findall(text)] for text in (told, there)]
        assert figures[0] == pytest.approx(figures[1], abs=2e-3, rel=0.01)


def said(page: str) -> str:
    """The sentence of a page that says what happened."""
    found = pages.read(page)
    assert found is not None
    return found.answer


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
