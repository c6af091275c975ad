"""The report: complete, self-contained, escaped, and whole for every kind of study."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from studies import (
    EVIL,
    EXACT,
    all_diverged_claim,
    arm,
    dqn_claim,
    exact_claim,
    judged,
    relu_claim,
    study,
    unfinished_claim,
)

from rlnorm.study.claim import Effect
from rlnorm.study.judge import ClaimResult, StudyResult
from rlnorm.study.judge.verdict import EffectDetails, ExactDetails, Judgement, Verdict
from rlnorm.study.report import confidence_bands, html, margins
from rlnorm.study.report.html import figures, forest, style, view

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "rect", "circle", "use"}


class Page(HTMLParser):
    """Text, tags and attributes of a page; notices tags that do not match."""

    def __init__(self, written: str):
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(written)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def nan_arms_claim() -> ClaimResult:
    """One score and some values missing, a curve of one point, single runs."""
    whole = dqn_claim()
    arms = {name: arm(name, 0.5, seeds=1) for name in ("none", "layer")}
    lost = arms["layer"]
    curves = {key: replace(c, values=c.values.copy()) for key, c in lost.curves.items()}
    curves["return"].values[0, :30] = np.nan
    curves["loss"] = replace(curves["loss"], steps=np.array([5]), values=np.array([[1.0]]))
    arms["layer"] = replace(lost, scores=np.array([np.nan]), curves=curves)
    return replace(whole, parts=(replace(whole.parts[0], arms=arms, verdict=unfinished_claim().parts[0].verdict),))


STUDIES = {
    "every kind": study(dqn_claim(), relu_claim(), relu_claim("updates"), exact_claim()),
    "no claims": replace(study(), claims=()),
    "exact only": study(exact_claim("supported")),
    "no parts": study(replace(dqn_claim(), parts=())),
    "nothing run": study(unfinished_claim()),
    "all diverged": study(all_diverged_claim()),
    "missing values": study(nan_arms_claim()),
    "bare": study(exact_claim(), commit=None, seconds=None, hardware="", versions={}, created="long ago"),
}


@pytest.mark.parametrize("result", STUDIES.values(), ids=list(STUDIES))
def test_a_page_is_well_formed_and_names_every_claim_and_verdict(result: StudyResult):
    page = Page(html.render(result))
    for claim in result.claims:
        assert claim.claim.statement in page.text
        assert claim.overall.outcome in page.text
        for part in claim.parts:
            assert part.name in page.text
    for shown in (result.command, *result.versions, result.commit or "", result.hardware):
        assert shown in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize("result", STUDIES.values(), ids=list(STUDIES))
def test_a_page_needs_nothing_from_outside(result: StudyResult):
    written = html.render(result)
    page = Page(written)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("href", "src", "xlink:href"):
            assert value.startswith("#"), value
        assert not name.startswith("on")
    assert "@import" not in written
    assert not re.search(r"url\((?!['\"]?#)", written)


def test_ids_are_unique_and_every_link_leads_somewhere():
    page = Page(html.render(STUDIES["every kind"]))
    claims = STUDIES["every kind"].claims
    own = [value for name, value in page.attributes if name == "id"]
    assert len(own) - len(set(own)) == len(claims) - len({claim.id for claim in claims})
    links = {value[1:] for name, value in page.attributes if name in ("href", "xlink:href")}
    clips = {found for _, value in page.attributes for found in re.findall(r"url\(#(\w+)\)", value)}
    assert links | clips <= set(own)


def test_everything_from_users_is_escaped():
    whole = dqn_claim()
    part = whole.claim.parts[whole.parts[0].name]
    assert isinstance(part, Effect)
    question = replace(part.question, treatment=EVIL)
    treated = replace(part, question=question, arms={EVIL: {}, "none": {}})
    arms = {"none": arm("none", 0.4), EVIL: replace(arm("layer", 0.6), name=EVIL, settings={EVIL: EVIL})}
    claim = replace(
        whole.claim, statement=EVIL, source=EVIL, notes=(EVIL,), literature=EVIL, parts={EVIL: treated, "exact": EXACT}
    )
    details = ExactDetails(EVIL, 1e-6, EVIL, 0.1, 3, {EVIL: EVIL})
    verdict = Verdict(EVIL, "exact", Judgement("refuted", EVIL, details))
    exact = replace(exact_claim().parts[0], name="exact", verdict=verdict)
    parts = (judged(EVIL, EVIL, treated, arms), exact)
    judgement = replace(whole.overall.judgement, reason=EVIL)
    evil = replace(whole, id=EVIL, claim=claim, parts=parts, overall=replace(whole.overall, judgement=judgement))
    versions = {EVIL: EVIL}
    written = html.render(
        study(evil, preset=EVIL, created=EVIL, commit=EVIL, command=EVIL, hardware=EVIL, versions=versions)
    )
    assert "<script" not in written
    assert "script" not in Page(written).tags
    assert written.count("&lt;script&gt;") > 20


def test_dollars_and_underscores_in_names_are_no_formulas():
    claim = relu_claim()
    arms = {f"$x_{name}$": replace(each, name=f"$x_{name}$") for name, each in claim.parts[0].arms.items()}
    page = Page(html.render(study(replace(claim, parts=(replace(claim.parts[0], arms=arms),)))))
    assert "$x_none$" in page.text


def test_writing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "new" / "report.html"
    html.write(study(exact_claim()), path)
    before = path.read_text(encoding="utf-8")
    assert before.startswith("<!doctype html>")

    def full(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        html.write(study(dqn_claim()), path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8") == before


def test_an_arm_has_one_colour_and_different_arms_have_different_ones():
    colours = style.colours(["none", "layer", "mine", "batch", "yours", "none"])
    assert len(set(colours.values())) == len(colours) == 5
    assert colours["layer"] == style.colours(["layer"])["layer"]
    assert len(style.colours(map(str, range(30)))) == 30


def test_settings_are_parted_into_those_that_differ_and_those_in_common():
    arms = {"a": arm("a", 0.5, width=64), "b": arm("b", 0.5)}
    found = view.settings_of(arms)
    assert found is not None
    assert dict(found.differs) == {"norm": ("a", "b"), "width": ("64", "–")}
    assert dict(found.common)["hidden"] == "64, 64"
    assert view.settings_of({}) is None


def test_published_work_is_marked_as_not_given_to_the_judge():
    page = Page(html.render(study(dqn_claim())))
    assert "Published work (not given to the judge)" in page.text
    assert "Gallici" in page.text
    assert "Published work" not in Page(html.render(study(relu_claim()))).text


def test_exact_parts_show_error_tolerance_and_counterexample():
    text = Page(html.render(study(exact_claim()))).text
    for shown in (
        "0.830",
        "worst of 200",
        "tolerance 1e-06",
        "Smallest counterexample",
        "[1.0, -0.5]",
        "float64 rounds",
    ):
        assert shown in text


def test_effect_parts_show_runs_and_the_judges_other_answers():
    text = Page(html.render(study(dqn_claim()))).text
    for shown in (
        "1 of 16",
        "treatment",
        "reference",
        "harm",
        "chance that a run is better",
        "Crosses: diverged",
        "Dashed",
    ):
        assert shown in text


def figures_of(
    estimate: float,
    low: float | None = None,
    high: float | None = None,
    margin: float = 0.05,
    details: EffectDetails | None = None,
) -> Verdict:
    """A verdict with these figures."""
    return Verdict("c", "p", Judgement("refuted", "So it is.", details, estimate, low, high), margin)


class TestForest:
    def test_figures_are_placed_in_units_of_the_margin(self):
        assert margins.in_margins(0.1, 0.05, "difference") == pytest.approx(2)
        assert margins.in_margins(1 / 1.25, 1.25, "ratio") == pytest.approx(-1)
        assert margins.in_margins(0.1, None, "difference") is None
        assert margins.in_margins(0.1, 0.0, "difference") is None
        assert margins.in_margins(-1.0, 1.25, "ratio") is None
        assert margins.in_margins(float("nan"), 0.05, "difference") is None

    def test_right_is_better_also_where_lower_scores_are(self):
        def dot(better: str) -> float:
            details = dqn_claim().parts[0].verdict.judgement.details
            assert isinstance(details, EffectDetails)
            verdict = figures_of(0.1, 0.05, 0.15, details=replace(details, better=better))
            found = re.search(r'cx="([\d.]+)"', forest.row(verdict, "difference"))
            assert found
            return float(found[1])

        middle = forest.WIDTH / 2
        assert dot("higher") - middle == pytest.approx(middle - dot("lower"))
        assert dot("higher") > middle

    def test_an_interval_that_goes_on_ends_in_an_arrow(self):
        assert "arrow" in forest.interval(5, 4, 30, reach=10)
        assert "arrow" in forest.interval(-5, -30, -4, reach=10)
        assert "arrow" not in forest.interval(5, 4, 9, reach=10)

    def test_the_axis_reaches_as_far_as_the_intervals_within_reason(self):
        def reach(high: float) -> float:
            return forest.reach_of([(figures_of(0.0, 0.0, high, margin=1.0), "difference")])

        assert (reach(0.5), reach(100)) == (forest.NEAREST, forest.FARTHEST)
        assert 5 < reach(5) < 6

    @pytest.mark.parametrize("error", [0.0, 1e-16, 0.5, 1e9])
    def test_errors_of_any_size_stay_in_the_drawing(self, error: float):
        drawing = forest.row(figures_of(error, margin=1e-9), "error")
        assert all(0 <= float(x) <= forest.WIDTH for x in re.findall(r'cx="([^"]+)"', drawing))

    def test_nothing_is_drawn_of_nothing(self):
        nothing = Verdict("c", "p", Judgement("insufficient", "Nothing has run."))
        assert not forest.row(nothing, "difference")
        assert not forest.row(nothing, "error")


class TestBands:
    def test_all_runs_give_a_band_and_some_a_dashed_line(self):
        values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, np.nan]])
        found = confidence_bands.curve(values)
        np.testing.assert_allclose(found.mean, [2, 3, np.nan])
        np.testing.assert_allclose(found.rest, [np.nan, np.nan, 3])
        assert found.low[0] < 2 < found.high[0]

    def test_gaps_inside_a_run_are_bridged_but_not_its_ends(self):
        nan = np.nan
        found = confidence_bands.curve(np.array([[nan, 1.0, nan, nan, 5.0, nan], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]]))
        np.testing.assert_allclose(found.mean, [nan, 1, 1, 1, 3, nan])
        np.testing.assert_allclose(found.rest, [0, nan, nan, nan, nan, 1])

    @pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
    def test_no_runs_or_no_steps_draw_nothing(self, shape: tuple[int, int]):
        assert not np.isfinite(np.concatenate(confidence_bands.curve(np.zeros(shape)))).any()

    def test_points_without_a_score_are_nothing(self):
        assert np.isnan(confidence_bands.point(np.array([np.nan])).estimate)
        assert confidence_bands.point(np.array([np.nan, 2.0])).estimate == 2


def test_a_curve_without_any_value_is_not_drawn():
    arms = all_diverged_claim().parts[0].arms
    assert figures.curves({"layer": arms["layer"]}, "return", {"layer": "#000000"}, "steps") is None
    assert figures.curves(arms, "return", style.colours(arms), "steps") is not None
    assert figures.curves(arms, "unheard of", style.colours(arms), "steps") is None


def test_parts_that_do_not_count_are_marked_in_every_row_and_only_they():
    whole = exact_claim()
    parts = (whole.parts[0], replace(whole.parts[0], name="another"))
    claim = replace(whole.claim, parts=dict.fromkeys((part.name for part in parts), EXACT))
    all_count = replace(whole, claim=claim, parts=parts)
    some = {**claim.parts, "another": replace(EXACT, decisive=False)}
    one_counts = replace(all_count, claim=replace(claim, parts=some))
    (shown,) = view.claims(study(one_counts))
    assert [part.row.beside for part in shown.parts] == ["", "(beside)"]
    assert html.render(study(one_counts)).count("(beside)</span>") == 2
    assert "(beside)</span>" not in html.render(study(all_count))


def test_rows_of_another_commit_say_so():
    whole = exact_claim()
    old = replace(whole, parts=tuple(replace(part, commits=("abc1234",)) for part in whole.parts))
    assert "Rows computed at commit" in html.render(study(old))
    assert "Rows computed at commit" not in html.render(study(old, commit="abc1234"))
    assert "Rows computed at commit" not in html.render(study(whole))
