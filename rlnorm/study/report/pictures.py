"""Forest plots as pictures of their own: what TensorBoard and the README show.

matplotlib is imported where something is drawn: a report that is left as it is need not wait for it.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from rlnorm.study.judge.results import StudyResult
from rlnorm.study.judge.verdict import Outcome
from rlnorm.study.report import answers, margins, wording
from rlnorm.study.report.html.style import INK, MATPLOTLIB
from rlnorm.study.report.language import t

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Outcome, str] = {
    "supported": "#2463a8",
    "refuted": "#bb3f24",
    "inconclusive": "#8a6a00",
    "insufficient": "#6b7280",
}
PREVIEW = "#7a3fa0"
FOREST = "forest plot"
PICTURE = f"{FOREST}/answers"
"""The picture that holds the part which decides of every claim. No text may have the same tag."""
REACH = 10.0
HANGUL = {"NanumGothic", "Noto Sans CJK KR", "Malgun Gothic", "AppleGothic"}
TICKS = (-9, -6, -3, -1, 0, 1, 3, 6, 9)


@dataclass(frozen=True)
class Line:
    """One interval: its name, its figures in units of the margin (more is better), its figures in words, its colour."""

    name: str
    figures: margins.Figures
    told: str
    colour: str


def lines(study: StudyResult) -> dict[str, list[Line]]:
    """claim -> its decisive comparisons that have an interval."""
    found: dict[str, list[Line]] = {}
    for claim in study.claims:
        for part in answers.decisive(claim):
            verdict, scale = part.verdict, answers.scale_of(claim, part)
            figures = (None, None, None) if scale == "error" else margins.figures(verdict, scale)
            if None not in figures:
                colour = PREVIEW if answers.is_preview(verdict) else COLOURS[verdict.outcome]
                told = f"{wording.estimate(verdict, scale)} {wording.interval(verdict, scale)}"
                found.setdefault(claim.id, []).append(Line(part.name, figures, told, colour))
    return found


def forest(axes: "Axes", rows: Sequence[Line | str]) -> None:
    """Draw intervals under each other, with a heading where a row is text, on one axis in units of the margin."""
    axes.axvspan(-1, 1, color=INK, alpha=0.08, linewidth=0)
    axes.axvline(0, color=INK, alpha=0.4, linewidth=0.8)
    for y, row in enumerate(rows):
        if isinstance(row, str):
            axes.text(-0.02, y, row, transform=axes.get_yaxis_transform(), ha="right", va="center", fontweight="bold")
            continue
        estimate, low, high = (min(max(x or 0.0, -REACH), REACH) for x in row.figures)
        axes.plot([low, high], [y, y], color=row.colour, linewidth=2)
        beyond = "<" if estimate <= -REACH else ">" if estimate >= REACH else "o"
        axes.plot([estimate], [y], beyond, color=row.colour, markersize=7, clip_on=False)
        axes.text(1.02, y, row.told.replace("-", "\u2212"), transform=axes.get_yaxis_transform(), va="center")
    names = {y: row.name for y, row in enumerate(rows) if isinstance(row, Line)}
    axes.set_yticks(list(names), list(names.values()))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-REACH, REACH)
    axes.set_xticks(TICKS)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"\u2190 {t('worse')}  ·  {t('units of the margin')}  ·  {t('better')} \u2192")


def _fonts() -> list[str]:
    """The page's font, and behind it what there is on this machine for Hangul."""
    from matplotlib.font_manager import fontManager

    return ["DejaVu Sans", *sorted(HANGUL & {font.name for font in fontManager.ttflist})]


def png(rows: Sequence[Line | str], title: str) -> bytes:
    """The forest plot as a PNG on white."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**MATPLOTLIB, "font.family": _fonts(), "savefig.facecolor": "white"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a font without a glyph draws a box, and says so at length
        figure = Figure(figsize=(9, 1.1 + 0.32 * len(rows)), layout="constrained")
        axes = figure.add_subplot(title=title)
        forest(axes, rows)
        out = BytesIO()
        figure.savefig(out, format="png", dpi=90)
    return out.getvalue()


def answers_of(study: StudyResult) -> Iterator[tuple[str, bytes]]:
    """(tag, picture): the part that decides of every claim together, then each claim with all its decisive parts."""
    found = lines(study)
    deciding: list[Line | str] = []
    for claim in study.claims:
        part = answers.decider(claim)
        of = [line for line in found.get(claim.id, []) if part and line.name == part.name]
        word = answers.word(claim.overall.outcome, answers.is_preview_of(claim))
        deciding += [Line(f"{answers.title(claim)}: {word}", line.figures, line.told, line.colour) for line in of]
    if deciding:
        yield PICTURE, png(deciding, t("The part that decides each claim"))
    for claim in study.claims:
        if claim.id in found:
            yield f"{FOREST}/{claim.id}", png(found[claim.id], answers.title(claim))
