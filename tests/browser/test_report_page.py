"""The report as a person meets it, in a browser: it draws, filters, sorts, saves, prints and asks for nothing."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import Seen
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, study, two_environments

from rlnorm.study.report import html
from rlnorm.study.report.language import speaking

pytestmark = pytest.mark.browser
SCHEMES = [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a claim of every kind."""
    diverged = replace(all_diverged_claim(), id="x-diverged")
    claims = dqn_claim(), dqn_claim("batch", "dqn-bn"), relu_claim(), exact_claim(), diverged
    path = tmp_path_factory.mktemp("report") / "report.html"
    html.write(study(*claims), path)
    return path


@pytest.fixture
def opened(seen: Seen, written: Path) -> Seen:
    """The report, ready."""
    seen.page.goto(written.as_uri())
    seen.page.wait_for_selector("html[data-ready]")
    return seen


def shown(seen: Seen) -> list[str]:
    return seen.page.eval_on_selector_all(".answers li:not([hidden])", "all => all.map((each) => each.dataset.claim)")


def test_nothing_is_asked_for_and_nothing_complained_of(opened: Seen):
    assert (opened.outside(), opened.complaints) == ([], [])
    opened.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    opened.page.evaluate("console.error('so it is heard')")
    opened.page.wait_for_timeout(200)
    assert opened.outside() == ["http://127.0.0.1:9/x.png"]
    assert "so it is heard" in opened.complaints


def test_filters_and_sorts(opened: Seen):
    page, every = opened.page, ["dqn-ln", "dqn-bn", "bn-relu", "bn-grad-input-short", "x-diverged"]
    assert shown(opened) == every
    page.select_option("select[name=kind]", "exact")
    assert shown(opened) == ["bn-grad-input-short"]
    assert page.locator("article:not([hidden])").count() == 1
    assert page.locator(".controls output").text_content() == "1 of 5 claims shown"
    page.select_option("select[name=kind]", "")
    page.select_option("select[name=verdict]", "preview")
    assert shown(opened) == [name for name in every if name != "bn-grad-input-short"]
    page.select_option("select[name=note]", "N2")
    assert shown(opened) == ["bn-relu"]
    page.select_option("select[name=note]", "")
    page.select_option("select[name=verdict]", "")
    page.select_option("select[name=sort]", "effect")
    sizes = page.eval_on_selector_all(".answers li", "all => all.map((each) => +each.dataset.effect)")
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2
    page.select_option("select[name=sort]", "")
    assert shown(opened) == every


def test_figures_are_drawn_with_title_description_axes_and_every_run_on_demand(opened: Seen):
    part = opened.page.locator("#dqn-ln details.part").first
    figures = part.locator("figure")
    assert figures.count() == 4
    for name in ("title", "desc", "text.name"):
        assert all(figures.nth(i).locator(name).first.text_content() for i in range(4))
    curve = figures.nth(1)
    assert curve.locator("path.band").count() == 2
    assert "(n = 16)" in curve.locator("svg").text_content()
    assert curve.locator("g.seeds path").count() == 0
    curve.get_by_role("button", name="Show every run").click()
    assert curve.locator("g.seeds path").count() == 32
    assert curve.locator("g.seeds").is_visible()
    assert figures.nth(0).locator("circle").count() + figures.nth(0).locator("path[d*='l6 6m0']").count() == 32


def test_a_link_to_a_part_opens_it(opened: Seen):
    part = opened.page.locator("#dqn-ln details.part").nth(1)
    part.evaluate("each => each.open = false")
    opened.page.locator("#dqn-ln table.rows a").nth(1).click()
    opened.page.wait_for_function("each => each.open", arg=part.element_handle())


def saved(opened: Seen, button: Any) -> list[list[str]]:
    with opened.page.expect_download() as download:
        button.click()
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))


def test_data_are_saved_as_csv(opened: Seen):
    rows = saved(opened, opened.page.locator("#dqn-ln figure .csv").first)
    assert rows[0] == ["arm", "seed", "score", "diverged"]
    arms = dqn_claim().parts[0].arms
    assert len(rows) == 1 + 32
    assert [float(row[2]) for row in rows[1:17]] == pytest.approx(arms["none"].scores, rel=1e-3)
    curve = saved(opened, opened.page.locator("#dqn-ln figure .csv").nth(1))
    assert len(curve) == 1 + 32 * 40
    table = saved(opened, opened.page.locator("#forest .csv"))
    assert table[1][:2] == ["dqn-ln, CartPole-v1, common rate", "+0.243 [+0.077, +0.325]"]


def test_profiles_over_environments_are_drawn_and_saved(seen: Seen, tmp_path: Path):
    html.write(study(two_environments()), tmp_path / "report.html")
    seen.page.goto((tmp_path / "report.html").as_uri())
    seen.page.wait_for_selector("html[data-ready]")
    seen.page.evaluate("location.hash = 'dqn-ln.across-1'")
    figure = seen.page.locator("[id='dqn-ln.across-1'] figure")
    figure.locator("path.band").first.wait_for(state="attached")
    assert "(n = 32)" in figure.locator("svg").text_content()
    assert figure.get_by_role("button").count() == 1
    rows = saved(seen, figure.locator(".csv"))
    assert rows[0] == ["arm", "runs", "normalized return", "fraction"]
    assert len(rows) == 1 + 2 * 41
    assert (seen.complaints, seen.faults()) == ([], [])


def test_prints_every_part_with_its_figures(opened: Seen):
    opened.page.eval_on_selector_all("details.part", "all => all.forEach((each) => { each.open = false; })")
    pdf = opened.page.pdf()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 1
    assert opened.page.locator("details.part:not([open])").count() == 0
    assert opened.page.locator("#x-diverged figure").count() > 0


@pytest.mark.parametrize("seen", SCHEMES, ids=["light", "dark", "phone"], indirect=True)
def test_axe_finds_no_fault_and_nothing_is_cut(opened: Seen):
    assert opened.faults() == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.page.evaluate("document.querySelector('main').append(Object.assign(new Image(), {src: 'data:,'}))")
    assert [fault.split(":")[0] for fault in opened.faults()] == ["image-alt"]


def test_korean_is_read_without_fault(seen: Seen, tmp_path: Path):
    with speaking("ko"):
        html.write(study(dqn_claim()), tmp_path / "보고서.html")
    seen.page.goto((tmp_path / "보고서.html").as_uri())
    seen.page.wait_for_selector("html[data-ready]")
    assert seen.page.get_by_role("button", name="CSV로 저장").count() > 0
    assert (seen.faults(), seen.complaints) == ([], [])
