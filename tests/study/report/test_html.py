"""The report: complete, self-contained, escaped, and whole for every kind of study; `browser/` opens it."""

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

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

from rlnorm.study import report
from rlnorm.study.claim import Effect
from rlnorm.study.judge import ArmResult, ClaimResult, StudyResult
from rlnorm.study.judge.verdict import EffectDetails, ExactDetails, Judgement, Verdict
from rlnorm.study.report import answers, confidence_bands, html, kept, margins
from rlnorm.study.report.html import forest, style, view
from rlnorm.study.report.html.data import POINTS, Data
from rlnorm.study.report.language import speaking

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
        assert answers.sentence(claim).replace("-0.", "−0.") in page.text
        assert answers.word(claim.overall.outcome, answers.is_preview_of(claim)) in page.text
        for part in claim.parts:
            assert part.name in page.text
    for shown in (result.command, *result.versions, result.commit or "", result.hardware):
        assert shown in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize("result", STUDIES.values(), ids=list(STUDIES))
def test_a_page_needs_nothing_from_outside(result: StudyResult):
    written = html.render(result)
    page = Page(written)
    assert not {"link", "iframe", "object", "embed", "img"} & set(page.tags)
    assert page.tags.count("script") == 2
    for name, value in page.attributes:
        if name in ("href", "src", "xlink:href"):
            assert value.startswith("#"), value
        assert not name.startswith("on")
    assert "@import" not in written
    assert not re.search(r"url\((?!['\"]?#)", written)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import)\b\s*\(|https?://(?!www\.w3\.org/2000/svg)", script(written))


def script(written: str) -> str:
    """The page's own script."""
    return written.rpartition("<script>")[2].partition("</script>")[0]


def data(written: str) -> Any:
    """What the page's script is given."""
    text = written.partition('id="data">')[2].partition("</script>")[0]
    return json.loads(zlib.decompress(base64.b64decode(text)))


def test_ids_are_unique_and_every_link_leads_somewhere():
    page = Page(html.render(STUDIES["every kind"]))
    claims = STUDIES["every kind"].claims
    own = [value for name, value in page.attributes if name == "id"]
    # the two claims on ReLU share an id here
    assert len(own) - len(set(own)) == 2 * (len(claims) - len({claim.id for claim in claims}))
    links = {value[1:] for name, value in page.attributes if name in ("href", "xlink:href")}
    assert links <= set(own)
    assert {"#answers", "#dqn-ln", "#dqn-ln.1-CartPole-v1-common-rate"} <= {f"#{link}" for link in links}


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
    assert Page(written).tags.count("script") == written.count("<script") == 2
    assert "alert" not in script(written)
    assert written.count("&lt;script&gt;") > 20
    (found,) = data(written)["parts"].values()
    assert EVIL in {arm["name"] for arm in found["arms"]}


def test_dollars_and_underscores_in_names_are_no_formulas():
    claim = relu_claim()
    arms = {f"$x_{name}$": replace(each, name=f"$x_{name}$") for name, each in claim.parts[0].arms.items()}
    written = html.render(study(replace(claim, parts=(replace(claim.parts[0], arms=arms),))))
    assert "$x_none$" in Page(written).text
    assert "CartPole-v1" in html._true_minus("CartPole-v1: -0.1")
    assert html._true_minus("1e-06, x-2: [-0.1, -.2]") == "1e-06, x-2: [−0.1, −.2]"


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
    names = [str(i) for i in range(30)]
    figures = [(names[i], names[i + 9], "batch") for i in range(21)]
    colours = style.colours([*names, "batch"], figures)
    assert all(len({colours[name] for name in figure}) == 3 for figure in figures)
    alike = style.colours([*names, "batch"])
    assert not all(len({alike[name] for name in figure}) == 3 for figure in figures)


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
        "1 / 16",
        "treatment",
        "reference",
        "harm",
        "chance that a run is better",
        "supported if it ends short of it",
        "LayerNorm in DQN is meaningless or unusable.",
    ):
        assert shown in text


def test_arms_tell_whether_and_when_they_met_the_goal_where_it_is_known():
    whole = dqn_claim()
    assert "met the goal" not in html.render(study(whole))
    found = {"found": np.array([1.0, 0.0]), "first_success": np.array([300.0, 2_000.0])}
    of = {**whole.parts[0].arms, "layer": replace(whole.parts[0].arms["layer"], **found)}
    page = html.render(study(replace(whole, parts=(replace(whole.parts[0], arms=of), whole.parts[1]))))
    assert page.count("steps to the first success") == 1
    assert '<td class="num">0.500</td><td class="num">1150</td>' in page
    assert '<td class="num">–</td><td class="num">–</td>' in page


def test_a_part_tells_what_would_change_its_verdict():
    whole = relu_claim()
    judged = replace(
        whole.parts[0].verdict.judgement, outcome="inconclusive", estimate=0.02, low=-0.02, high=0.06, n=16
    )
    part = replace(whole.parts[0], verdict=replace(whole.parts[0].verdict, judgement=judged))
    text = Page(html.render(study(replace(whole, parts=(part,))))).text
    # half the interval is 0.04, the nearest margin 0.03 away: 16 (4/3)^2
    assert "about 29 fresh runs an arm decide it: --seeds 29 --after 16." in text
    assert "would decide it" not in Page(html.render(study(relu_claim()))).text


def test_previews_look_other_than_verdicts():
    page = html.render(study(dqn_claim()))
    assert 'class="badge preview solid">points to refuted' in page
    assert 'class="badge refuted' not in page.partition('id="answers"')[2].partition("</section>")[0]


def test_the_kept_answer_stands_beside_a_preview_and_is_told_where_its_design_is_an_earlier_one(monkeypatch):
    stands = kept.Kept("dqn-ln", "", "inconclusive", "", "", "", (), earlier=True)
    monkeypatch.setattr(
        kept, "answers", lambda: {"dqn-ln": stands, "bn-grad-input-short": replace(stands, earlier=False)}
    )
    text = Page(html.render(study(dqn_claim(), exact_claim()))).text
    told = "inconclusive (docs/results/earlier/dqn-ln.md), the answer to an earlier design of the claim"
    assert text.count(f"Kept answer: {told}") == 1
    assert text.count(told) == 2
    assert text.count("inconclusive (docs/results/dqn-ln.md)") == 1


def test_figures_hold_every_run_once_however_many_parts_show_it():
    found = data(html.render(study(dqn_claim(), replace(dqn_claim("batch", "dqn-bn")))))
    assert len(found["parts"]) == 4
    one = found["parts"]["dqn-ln.1-CartPole-v1-common-rate"]
    assert [curve["key"] for curve in one["curves"]] == ["return", "loss", "q"]
    plain = one["curves"][0]["of"][0]
    assert all(part["curves"][0]["of"][0] == plain for part in found["parts"].values())
    series = found["series"][plain]
    assert len(series["runs"]) == 16
    assert all(len(run) == len(series["x"]) <= POINTS for run in series["runs"])
    arms = dqn_claim().parts[0].arms
    layer = found["series"][one["scores"][1]]
    np.testing.assert_allclose(layer["scores"], arms["layer"].scores, rtol=1e-3)
    assert sum(layer["diverged"]) == 1


def test_without_values_a_part_has_no_figures():
    assert data(html.render(STUDIES["nothing run"]))["parts"] == {}
    diverged = data(html.render(STUDIES["all diverged"]))
    assert [curve["of"][1] for curve in diverged["parts"]["dqn-ln.1-CartPole-v1-common-rate"]["curves"]] == [None] * 3


def catalogue() -> StudyResult:
    """Seventy claims, most of them of several trained parts, with arms that parts of one claim share."""
    made = []
    for i in range(70):
        whole = (dqn_claim, relu_claim, exact_claim)[i % 3]()
        name = f"claim-{i}"
        parts = {f"{part.name}, setting {k}": part for part in whole.parts for k in range(4)}
        claim = replace(whole.claim, parts={each: whole.claim.parts[part.name] for each, part in parts.items()})
        shifted = [replace(part, name=each, arms=moved(part.arms, i)) for each, part in parts.items()]
        made.append(replace(whole, id=name, claim=claim, parts=tuple(shifted)))
    return study(*made)


def moved(arms: Mapping[str, ArmResult], by: int) -> dict[str, ArmResult]:
    """The same arms with other values, so that no two claims share them."""
    return {
        name: replace(arm, curves={key: replace(c, values=c.values * (1 + by / 97)) for key, c in arm.curves.items()})
        for name, arm in arms.items()
    }


def test_seventy_claims_stay_below_five_megabytes():
    written = html.render(catalogue())
    assert written.count("<article") == 70
    assert len(written.encode()) < 5_000_000
    assert 'details class="part" id="claim-0.1-CartPole-v1-common-rate-setting-0" data-drawn>' in written


def test_the_page_speaks_korean():
    with speaking("ko"):
        written = html.render(STUDIES["every kind"])
    page = Page(written)
    assert '<html lang="ko">' in written
    assert all(
        text in page.text
        for text in ("반박 쪽을 가리킴", "DQN에서 층 정규화는 쓸모없다", "가장 작은 반례", "노트의 말")
    )
    assert data(written)["say"]["csv"] == "CSV로 저장"


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
            found = re.search(r'cx="([\d.]+)"', forest.row("p", verdict, "difference"))
            assert found
            return float(found[1])

        middle = forest.WIDTH / 2
        assert dot("higher") - middle == pytest.approx(middle - dot("lower"))
        assert dot("higher") > middle

    def test_an_interval_that_goes_on_ends_in_an_arrow(self):
        def drawn(low: float, high: float) -> str:
            return forest.row("p", figures_of(5, low, high, margin=1.0), "difference", reach=10)

        assert "arrow" in drawn(4, 30)
        assert "arrow" in drawn(-30, -4)
        assert "arrow" not in drawn(4, 9)

    def test_a_drawing_has_a_title_and_a_description_and_an_axis_its_labels(self):
        drawing = forest.row("<p>", figures_of(0.1, 0.05, 0.15), "difference")
        assert "<title>&lt;p&gt;</title><desc>+0.100, [+0.050, +0.150]</desc>" in drawing
        assert all(f">{label}<" in forest.axis(3.0) for label in ("worse", "−1", "0", "+1", "better"))
        assert "1e-10" in forest.gauge_axis()
        assert "worse" not in forest.gauge_axis()

    def test_the_axis_reaches_as_far_as_the_intervals_within_reason(self):
        def reach(high: float) -> float:
            return forest.reach_of([(figures_of(0.0, 0.0, high, margin=1.0), "difference")])

        assert (reach(0.5), reach(100)) == (forest.NEAREST, forest.FARTHEST)
        assert 5 < reach(5) < 6

    @pytest.mark.parametrize("error", [0.0, 1e-16, 0.5, 1e9])
    def test_errors_of_any_size_stay_in_the_drawing(self, error: float):
        drawing = forest.row("p", figures_of(error, margin=1e-9), "error")
        assert all(0 <= float(x) <= forest.WIDTH for x in re.findall(r'cx="([^"]+)"', drawing))

    def test_nothing_is_drawn_of_nothing(self):
        nothing = Verdict("c", "p", Judgement("insufficient", "Nothing has run."))
        assert not forest.row("p", nothing, "difference")
        assert not forest.row("p", nothing, "error")


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


def test_parts_that_do_not_count_are_marked_in_every_row_and_only_they():
    whole = exact_claim()
    parts = (whole.parts[0], replace(whole.parts[0], name="another"))
    claim = replace(whole.claim, parts=dict.fromkeys((part.name for part in parts), EXACT))
    all_count = replace(whole, claim=claim, parts=parts)
    some = {**claim.parts, "another": replace(EXACT, decisive=False)}
    one_counts = replace(all_count, claim=replace(claim, parts=some))
    (shown,) = view.claims(study(one_counts), Data({}))
    assert [part.row.beside for part in shown.parts] == ["", "(beside)"]
    assert [row.name for row in shown.decisive] == [whole.parts[0].name]
    assert html.render(study(one_counts)).count("(beside)</span>") == 2
    assert "(beside)</span>" not in html.render(study(all_count))


def test_rows_of_another_commit_say_so():
    whole = exact_claim()
    old = replace(whole, parts=tuple(replace(part, commits=("abc1234",)) for part in whole.parts))
    assert "Rows computed at commit" in html.render(study(old))
    assert "Rows computed at commit" not in html.render(study(old, commit="abc1234"))
    assert "Rows computed at commit" not in html.render(study(whole))


def test_a_page_in_another_language_is_another_page():
    scores = {claim.id: "" for claim in study().claims}
    english = report._made_from(study(), scores, False)
    assert report._made_from(study(), scores, False) == english
    with speaking("ko"):
        assert report._made_from(study(), scores, False) != english
