"""docs/answers.md and the README's picture say what the kept pages say."""

from dataclasses import replace
from pathlib import Path

from rlnorm.study.claim.load import shipped
from rlnorm.study.report import gallery, kept
from rlnorm.study.report.pictures import COLOURS, Line

DOCS = Path(__file__).parents[3] / "docs"
FOUND = kept.answers()
LN, BN = (
    page
    for name in ("dqn-ln", "dqn-bn")
    if (page := kept.read((kept.FOLDER / kept.EARLIER / f"{name}.md").read_text("utf-8")))
)


def test_the_page_is_the_one_that_its_command_makes():
    page = (DOCS / "answers.md").read_text("utf-8")
    assert page == gallery.page(FOUND.values())
    for claim in FOUND.values():
        assert (DOCS / gallery.figure_of(claim)).is_file()
        assert f"## {claim.id}: {claim.title}" in page


def test_the_picture_on_top_names_the_headline_claims_with_their_answers():
    picture = (DOCS / "figures" / "answers.svg").read_text("utf-8")
    for row in gallery.headlines(FOUND):
        assert (row if isinstance(row, str) else row.told.replace("-", "−")) in picture


def test_the_page_tells_harm_from_no_benefit_where_a_norm_is_useless():
    page = gallery.page([BN, LN])
    assert page.count("harmful in 16 of 18 parts") == page.count("no benefit of the margin in 2 of 18 parts") == 2
    assert page.count("harmful in 2 of 6 parts") == page.count("open in 3 of 6 parts") == 2


def test_where_a_lower_score_is_better_intervals_are_turned():
    part = replace(LN.parts[4], name="CartPole-v1, dormant units")
    claim = replace(LN, id="dqn-plasticity", parts=(part,))
    lower = next(name for name in shipped()["dqn-plasticity"].claim.parts if gallery._lower("dqn-plasticity", name))
    turned = gallery.figures(claim, replace(part, name=lower))
    assert turned == (-0.159 / 0.05, -0.235 / 0.05, -0.074 / 0.05)
    assert gallery.figures(claim, replace(part, scale="error")) == (None, None, None)


def test_the_direction_is_that_of_the_estimate_and_not_of_the_score():
    assert gallery._lower("bn-init", "ReLU"), "a range of accuracies shall be small"
    assert not gallery._lower("bn-speed-not-regularizer", "against the gap"), "a gain in speed is a gain"


def test_intervals_are_drawn_in_margins_with_the_colour_of_their_answer():
    claim = LN
    (line,) = gallery.rows_of(replace(claim, parts=(claim.parts[4], replace(claim.parts[0], decisive=False))))
    assert isinstance(line, Line)
    assert line.figures == (0.159 / 0.05, 0.074 / 0.05, 0.235 / 0.05)
    assert line.told == "+0.16 [+0.07, +0.23]"
    assert line.colour == COLOURS["refuted"]
