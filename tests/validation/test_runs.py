"""The page of our DQN against stable-baselines3's own, and the claim on whole runs that it shows.

`tests/dqn` holds what is stored, the schedule and the steps of updates and copies against theirs, `test_updates.py` the
update itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tiny
import torch

from rlnorm.study.claim import PRESETS, Effect
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.claim.validate import errors
from rlnorm.study.judge import ClaimResult
from rlnorm.study.plan import Request
from rlnorm.study.report.html import style
from rlnorm.study.run import Store
from rlnorm.validation.runs import CLAIM, EXACT, ITSELF, NAMES, Exactly, draw, page
from rlnorm.validation.updates import Distance, Setting


@pytest.mark.parametrize("name", CLAIM.parts)
def test_whole_runs_can_be_compared(name: str):
    part = CLAIM.parts[name]
    assert isinstance(part, Effect)
    assert {part.experiment.of(arm)[0] for arm in part.arms.values()} == {"sb3", "dqn"}
    assert len({part.experiment.steps[preset] for preset in PRESETS}) == 1
    assert (part.question.asks, part.question.margin) == ("equivalent", 0.05)


def test_the_claim_obeys_the_rules_of_every_claim():
    assert list(errors(CLAIM)) == []


def stored(folder: Path) -> ClaimResult:
    """Two seeds an arm: CartPole's ours, sb3 at 100, the negative control at 20; Acrobot all alike."""
    asked, store = Request(ClaimFile("fidelity", CLAIM, None), "full", seeds=2), Store(folder)
    for unit in tiny.units([asked], store):
        worse = 80.0 * ("negative control" in unit.label)
        scores = (
            [100.0 + seed - worse for seed in unit.seeds] if "CartPole" in unit.label else [-300.0] * len(unit.seeds)
        )
        rows = [{"step": at, "return": scores, "diverged": [False] * len(scores)} for at in (1, 2)]
        store.write(unit, [rows[0], {**rows[1], "final_return": scores}], lambda: 0.0)
    return tiny.assess(asked, store)


PARTED = [Distance(100 * i, i * 1e-8, 0.5, 0.25) for i in range(1, 11)]
SAME = [Distance(100 * i, i * 1e-16, 0.5, 0.25) for i in range(1, 11)]
NONE = Setting("none", 10.0)


def exactly(in_float64: Sequence[Distance]) -> Exactly:
    return [(NONE, "ours", PARTED), (replace(NONE, dtype=torch.float64), "ours", in_float64), (NONE, "itself", PARTED)]


def test_the_page_shows_both_comparisons_and_every_run(tmp_path: Path):
    result = stored(tmp_path)
    text = page(exactly(SAME), result, "0123abc", "fidelity.svg")
    assert "| none | 10 | float32 | ours | 25% | 1.0e-08 | 5.0e-08 | 1.0e-07 | 0.50 |" in text
    assert "| none | 10 | float64 | ours | 25% | 1.0e-16 | 5.0e-16 | 1.0e-15 | 0.50 |" in text
    assert "| none | 10 | float32 | itself | 25% |" in text
    assert "| Acrobot-v1, ten environments | insufficient | +0.000 | +0.000 to +0.000 |" in text
    assert (
        "| Acrobot-v1, CleanRL's settings | negative control | 0.499 ± 0.000 | -300 ± 0 | 0 | 0.499/-300 0.499/-300 |"
        in text
    )
    assert "| CartPole-v1, ten environments | sb3 | 0.190 ± 0.002 | 108 ± 1 | 0 | 0.189/108 0.192/109 |" in text
    assert "](fidelity.svg)" in text
    assert max(len(line) for line in text.splitlines() if line[:1] not in ("|", "!")) <= 120


def test_the_page_names_the_commits_that_computed_its_rows(tmp_path: Path):
    result = stored(tmp_path)
    parts = tuple(replace(part, commits=(name,)) for part, name in zip(result.parts, ("b", "a", "b", "a"), strict=True))
    text = page(exactly(SAME), replace(result, parts=parts), "0123abc", "fidelity.svg")
    assert "rows computed at commit a, b, judged at 0123abc" in " ".join(text.split())


def test_the_page_begins_with_the_verdict(tmp_path: Path):
    result, outcomes = stored(tmp_path), ("supported", "refuted", "supported", "inconclusive")
    parts = [
        replace(part, verdict=replace(part.verdict, judgement=replace(part.verdict.judgement, outcome=outcome)))
        for part, outcome in zip(result.parts, outcomes, strict=True)
    ]
    first, second, third, fourth = (part.name for part in parts)
    told = " ".join(page(exactly(SAME), replace(result, parts=tuple(parts)), None, "").split())
    assert (
        "**Our update computes the same as theirs but for rounding: in float64 no weight is more than 1.0e-15" in told
    )
    whole = f"equivalent within 0.05 in 2 of 4 parts ({first}; {third}), not equivalent in 1 of 4 parts ({second}), "
    assert f"Whole runs: {whole}open in 1 of 4 parts ({fourth}).**" in told
    assert "**Our update differs from theirs: " in page(exactly(PARTED), result, None, "")
    nothing = "Whole runs: equivalent within 0.05 in 0 of 4 parts, not to be told in 4 of 4 parts ("
    assert nothing in " ".join(page(exactly(SAME), result, None, "").split())


def test_the_curves_of_every_part_and_arm_are_drawn(tmp_path: Path):
    result = stored(tmp_path)
    text = draw(result)
    ElementTree.fromstring(text)
    assert [text.count(f">{part.name}<") for part in result.parts] == [1] * 4
    assert [text.count(f">{name} (n = 2)<") for name in NAMES.values()] == [1] * 3
    colours = style.colours(NAMES).values()
    # A line and its band in each of four panels, and a line in the legend.
    assert all(text.count(f"stroke: {colour}") >= 5 and text.count(f"fill: {colour}") >= 4 for colour in colours)
    assert text == draw(result)
    assert len(text) < 150_000


def test_updates_are_compared_in_both_precisions_for_every_setting():
    assert {(each.norm, each.clip, each.dtype) for each in EXACT} == {
        (norm, clip, dtype)
        for norm, clip in (("none", 10.0), ("layer", 10.0), ("layer", 1.0))
        for dtype in (torch.float32, torch.float64)
    }
    assert ITSELF in EXACT
