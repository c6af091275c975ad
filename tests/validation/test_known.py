"""Published results as known answers: declared as every claim, carried out in small, and kept as they were judged.

A full run takes minutes. Here each goes through plan, run and judge with two seeds and a few updates; what algebra or
the start of training tells is told in full, and the kept scores are judged anew.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny
from kept import Kept

from rlnorm.study.claim import Effect, Exact, Question
from rlnorm.study.claim.load import claim_files, claim_id, shipped_folder
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.claim.validate import errors
from rlnorm.study.judge import Sample, StudyResult, judge
from rlnorm.study.judge.exact import judge as judge_cases
from rlnorm.study.plan import Request
from rlnorm.study.run import Store
from rlnorm.study.run.exact import run as run_cases
from rlnorm.study.run.worker import records
from rlnorm.textbook.random_cases import Case
from rlnorm.validation import known
from rlnorm.validation.known.bn_explodes import growth
from rlnorm.validation.known.weight_growth import relative_growth

FOLDER = Path(__file__).parents[2] / "docs/results/known"
KNOWN = known.known()
REVERSED = {"equivalent": (-1, 1), "not better": (1,), "non-inferior": (-1,)}
"""Which way accuracy has to move for the answer to be the other one."""
PARTS = {(name, title): part for name, found in KNOWN.items() for title, part in found.claim.parts.items()}
EFFECTS = {key: part for key, part in PARTS.items() if isinstance(part, Effect)}
EXACT = {key: part for key, part in PARTS.items() if isinstance(part, Exact)}
TRAINED = sorted({name for name, _ in EFFECTS})
ENDS = (".md", ".csv")


@pytest.mark.parametrize("name", KNOWN)
def test_it_obeys_the_rules_of_every_claim(name: str):
    assert list(errors(KNOWN[name].claim)) == []
    assert KNOWN[name].claim.literature
    assert name not in map(claim_id, claim_files(shipped_folder()))


def test_better_means_the_published_direction_alone():
    better = [part.question for part in EFFECTS.values() if part.question.asks == "superior"]
    assert len(better) >= 8
    assert [each.margin for each in better] == [1.0 if each.is_factor else 0.0 for each in better]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """What two seeds, and a few updates, of every trained part come to."""
    store, found = Store(tmp_path_factory.mktemp("known")), []
    for name in TRAINED:
        trained = tuple(title for each, title in EFFECTS if each == name)
        asked = Request(KNOWN[name], "smoke", trained, seeds=2)
        for unit in tiny.units([asked], store):
            store.write(unit, records(unit), lambda: 0.0)
        found.append(tiny.assess(asked, store))
    return StudyResult(tuple(found), "smoke", "", "0123abc", {}, "", None)


def test_every_trained_part_is_planned_run_and_scored(small: StudyResult):
    parts = {(claim.id, part.name): part for claim in small.claims for part in claim.parts}
    assert parts.keys() == EFFECTS.keys()
    for key, part in parts.items():
        assert part.arms.keys() == EFFECTS[key].arms.keys()
        assert all(len(arm.scores) == 2 for arm in part.arms.values())
        # A smoke run is over before its inputs are looked at a second time: it has not drifted.
        unknown = key == ("bn-sigmoid", "steadier inputs")
        assert all(np.isfinite(arm.scores).all() != unknown for arm in part.arms.values())
        assert part.verdict.outcome == "insufficient"


def test_gradients_explode_already_with_two_seeds(small: StudyResult):
    (part,) = (part for claim in small.claims if claim.id == "bn-explodes" for part in claim.parts)
    assert part.arms["batch"].scores.min() > part.arms["none"].scores.max() + 0.2


def few(part: Exact, formula: Callable[[Case], object], cases: int) -> str:
    """The verdict on `cases` cases of a part, with a formula that may not be its own."""
    return judge_cases(part, run_cases(replace(part, formula=formula, cases=cases), "few", 0)).outcome


@pytest.mark.parametrize(
    ("key", "formula", "cases"),
    [(("weight-growth", "ten steps"), relative_growth, 10), (("bn-explodes", "1.21 a layer"), growth, 1)],
    ids=lambda each: "-".join(each) if isinstance(each, tuple) else getattr(each, "__name__", str(each)),
)
def test_exact_parts_hold_in_a_few_cases_and_fail_without_a_norm(
    key: tuple[str, str], formula: Callable[..., float], cases: int
):
    assert few(EXACT[key], formula, cases) == "supported"
    assert few(EXACT[key], partial(formula, norm="none"), cases) == "refuted"


def test_those_are_all_exact_parts():
    assert set(EXACT) == {("weight-growth", "ten steps"), ("bn-explodes", "1.21 a layer")}


def kept(name: str) -> Kept:
    """The kept results of a known answer."""
    return Kept(FOLDER, name, KNOWN[name].claim)


def reversed_answers(question: Question, samples: Mapping[str, Sample]) -> Iterator[dict[str, Sample]]:
    """Treatment and reference in each other's place. Where neither is to be better, the treatment has the reference's
    scores, three margins off."""
    one, other = samples[question.treatment], samples[question.reference]
    if question.asks == "superior":
        yield {**samples, question.treatment: other, question.reference: one}
    for sign in REVERSED.get(question.asks, ()):
        moved = replace(other, scores=other.scores + 3 * sign * question.margin)
        yield {**samples, question.treatment: moved}


class TestKept:
    @pytest.mark.parametrize("name", TRAINED)
    def test_a_page_says_what_its_scores_say_and_why_where_it_is_not_what_was_published(self, name: str):
        verdicts = kept(name).rejudged()
        assert verdicts.keys() == {title for each, title in EFFECTS if each == name}
        assert kept(name).differing() == []
        for title, verdict in verdicts.items():
            assert (verdict.outcome == "supported") != ((name, title) in known.OTHERWISE)

    @pytest.mark.parametrize("key", EFFECTS, ids=str)
    def test_a_reversed_answer_fails(self, key: tuple[str, str]):
        part, samples = EFFECTS[key], kept(key[0]).scored()[key[1]]
        metric = metric_of(part, part.metric, part.experiment.steps["full"])
        others = [judge(part.question, each, metric).outcome for each in reversed_answers(part.question, samples)]
        published = judge(part.question, samples, metric).outcome
        assert others
        assert all("refuted" in (published, other) for other in others)

    def test_every_known_answer_has_its_page_and_row(self):
        table = (FOLDER / "README.md").read_text("utf-8")
        assert {path.stem for path in FOLDER.glob("*.md")} == {"README", *KNOWN}
        for name, title in PARTS:
            (row,) = (line for line in table.splitlines() if f"]({name}.md)" in line and f"| {title} |" in line)
            assert row.endswith("| yes |") or known.OTHERWISE[name, title] in row


def test_the_page_says_why_an_answer_is_not_the_published_one(
    small: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    why = {("he-xavier", "20 layers"): "too short a run."}
    monkeypatch.setattr("rlnorm.validation.known._page.OTHERWISE", why)
    assert {path.name for path in known.keep(small, tmp_path)} == {f"{name}{end}" for name in TRAINED for end in ENDS}
    page = (tmp_path / "he-xavier.md").read_text("utf-8")
    assert page.endswith("\nNot the published direction in “20 layers”: too short a run.\n")
    assert "Command: `python scripts/known_answers.py`;" in page
    table = known.page(small)
    assert f"0 of {len(EFFECTS)} parts have the published direction" in " ".join(table.split())
    (row,) = (line for line in table.splitlines() if "he-xavier" in line and "20 layers" in line)
    assert row.startswith("| [he-xavier](he-xavier.md): He's initialization trains deep ReLU networks | He et al. 2015")
    assert row.endswith("| open: too short a run. |")
    assert max(len(line) for line in table.splitlines() if not line.startswith("|")) <= 120
