"""One row of a forest plot as SVG: estimate and interval against the margin, in the page's own colours.

All rows share one axis in units of the margin (0 = no difference, ±1 = the margin; for ratios, their logarithms), so
that parts with different metrics can stand under each other, and turned so that right is better for the treatment
also where a lower score is better. For exact parts: the largest error against the tolerance on a logarithmic axis.
"""

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

from rlnorm.study.judge.verdict import Verdict
from rlnorm.study.report import margins, wording
from rlnorm.study.report.language import t
from rlnorm.study.report.wording import Scale, finite

WIDTH, HEIGHT = 240, 26
NEAREST, FARTHEST = 3.0, 10.0
"""Fewest and most margins shown to either side; an interval that goes on ends in an arrow."""
DECADES = (-17.0, 2.0)


def row(name: str, verdict: Verdict, scale: Scale, reach: float = NEAREST) -> Markup:
    """The drawing of one verdict, `reach` margins to either side; empty where it holds nothing to draw."""
    told = f"{wording.estimate(verdict, scale)}, {wording.interval(verdict, scale)}"
    if scale == "error":
        marks = _gauge(finite(verdict.judgement.estimate), finite(verdict.margin))
    else:
        marks = _interval(*margins.figures(verdict, scale), reach)
    return _drawing(marks, name, told)


def reach_of(verdicts: Iterable[tuple[Verdict, Scale]]) -> float:
    """How many margins the common axis must show so that all intervals fit, within reason."""
    figures = (margins.figures(verdict, scale) for verdict, scale in verdicts if scale != "error")
    farthest = max((abs(x) for found in figures for x in found if x is not None), default=0.0)
    return min(max(1.05 * farthest, NEAREST), FARTHEST)


def interval(estimate: float, low: float, high: float, told: str) -> Markup:
    """An example of an interval, in units of the margin."""
    return _drawing(_interval(estimate, low, high, NEAREST), told, f"{low} to {high} margins")


def _interval(estimate: float | None, low: float | None, high: float | None, reach: float) -> list[str]:
    if estimate is None and (low is None or high is None):
        return []
    middle = HEIGHT / 2
    left, zero, right = (_x(at, reach) for at in (-1, 0, 1))
    marks = [
        f'<rect class="inside" x="{left:.1f}" y="2" width="{right - left:.1f}" height="{HEIGHT - 4}"/>',
        f'<path class="zero" d="M{zero:.1f} 0V{HEIGHT}"/>',
    ]
    if low is not None and high is not None:
        marks.append(f'<path class="span" d="M{_x(low, reach):.1f} {middle}H{_x(high, reach):.1f}"/>')
        marks += [_arrow(_x(end, reach), side) for end, side in ((low, -1), (high, 1)) if end * side > reach]
    if estimate is not None:
        marks.append(f'<circle class="dot" cx="{_x(estimate, reach):.1f}" cy="{middle}" r="4.5"/>')
    return marks


def axis(reach: float) -> Markup:
    """The labels over the rows of comparisons: which side is better, and where the margins are."""
    labels = [(8, t("worse"), "start"), (WIDTH / 2, "0", "middle"), (WIDTH - 8, t("better"), "end")]
    return _labels([*labels, *((_x(at, reach), f"{at:+d}".replace("-", "−"), "middle") for at in (-1, 1) if reach < 8)])


def gauge_axis() -> Markup:
    """The labels over the rows of exact parts: errors on a logarithmic axis."""
    return _labels([(_decade(10.0**power), f"1e{power}", "middle") for power in (-15, -10, -5, 0)])


def _labels(labels: Iterable[tuple[float, str, str]]) -> Markup:
    marks = [f'<text x="{x:.1f}" y="17" text-anchor="{anchor}">{escape(label)}</text>' for x, label, anchor in labels]
    return Markup(f'<svg class="forest" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(marks)}</svg>')


def _gauge(error: float | None, tolerance: float | None) -> list[str]:
    if error is None:
        return []
    middle = HEIGHT / 2
    marks = [f'<path class="zero" d="M{_decade(0):.1f} {middle}H{WIDTH - 4}"/>']
    if tolerance is not None:
        limit = _decade(tolerance)
        marks.insert(0, f'<rect class="inside" x="4" y="2" width="{limit - 4:.1f}" height="{HEIGHT - 4}"/>')
        marks.append(f'<path class="limit" d="M{limit:.1f} 2V{HEIGHT - 2}"/>')
    marks.append(f'<circle class="dot" cx="{_decade(error):.1f}" cy="{middle}" r="4.5"/>')
    return marks


def _x(margins: float, reach: float) -> float:
    clipped = min(max(margins, -reach), reach)
    return WIDTH / 2 + clipped / reach * (WIDTH / 2 - 8)


def _decade(value: float) -> float:
    low, high = DECADES
    exponent = math.log10(value) if value > 0 else low
    return 8 + (min(max(exponent, low), high) - low) / (high - low) * (WIDTH - 16)


def _arrow(x: float, side: int) -> str:
    top, middle, bottom = HEIGHT / 2 - 4, HEIGHT / 2, HEIGHT / 2 + 4
    back, tip = x + 1 * side, x + 7 * side
    return f'<path class="arrow" d="M{back:.1f} {top}L{tip:.1f} {middle}L{back:.1f} {bottom}"/>'


def _drawing(marks: list[str], name: str, told: str) -> Markup:
    if not marks:
        return Markup()
    text = f"<title>{escape(name)}</title><desc>{escape(told)}</desc>"
    return Markup(f'<svg class="forest" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{text}{"".join(marks)}</svg>')
