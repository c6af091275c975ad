"""The report's figures as SVG to stand inside the page: curves with bands, and every run's score as a point."""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from itertools import count
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from rlnorm.study.judge.results import ArmResult, Curve
from rlnorm.study.report import confidence_bands
from rlnorm.study.report.html.style import INK, MATPLOTLIB

WIDTH = 4.2
"""Inches; three curves stand side by side on a desktop, one fills a phone."""

_numbers = count()


def curves(arms: Mapping[str, ArmResult], key: str, colours: Mapping[str, str], unit: str) -> Markup | None:
    """Mean of `key` over training with its 95 % band, one colour per arm.

    Dashed and without band where runs are missing; None where no run has a finite value.
    """
    drawn = {name: arm.curves[key] for name, arm in arms.items() if key in arm.curves}
    drawn = {name: curve for name, curve in drawn.items() if np.isfinite(curve.values).any()}
    if not drawn:
        return None

    def draw(axes: Axes) -> None:
        for name, curve in drawn.items():
            band(axes, curve, colours[name])
        if key == "loss" and _spans_decades([curve.values for curve in drawn.values()]):
            axes.set_yscale("log")
        over_steps(axes, unit)

    return _svg(draw, height=2.5)


def band(axes: Axes, curve: Curve, colour: str, label: str | None = None) -> None:
    """Draw the mean over runs with its 95 % band; dashed and without band where runs are missing."""
    found, marker = confidence_bands.curve(curve.values), "o" if len(curve.steps) == 1 else None
    axes.plot(curve.steps, found.mean, color=colour, marker=marker, label=label)
    axes.plot(curve.steps, found.rest, color=colour, marker=marker, linewidth=1, linestyle=(0, (3, 2)))
    axes.fill_between(curve.steps, found.low, found.high, color=colour, alpha=0.2, linewidth=0)


def over_steps(axes: Axes, unit: str) -> None:
    """Let the x axis be steps of training: few ticks, in thousands."""
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.01)


def picture(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """Draw on a fresh figure of `size` inches -> an SVG file of its own: dark ink on white, the same every time."""
    text = _drawn(draw, size, {"savefig.facecolor": "white", "svg.hashsalt": "rlnorm"}, {"Date": None})
    text = re.sub(r"(\.\d\d)\d+", r"\1", text)  # a hundredth of a point is enough, and a third smaller
    # Where it is shown, the font that measured it may be missing.
    return text.replace(INK, "#24292f").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def scores(
    arms: Mapping[str, ArmResult], colours: Mapping[str, str], reference: str | None, margin: float | None, label: str
) -> Markup | None:
    """Every run's score as a point, the mean with its 95 % interval, and reference ± margin as a shaded strip.

    Diverged runs are crosses. None where no run has a score.
    """
    if not any(np.isfinite(arm.scores).any() for arm in arms.values()):
        return None

    def draw(axes: Axes) -> None:
        if (
            reference is not None
            and reference in arms
            and margin is not None
            and np.isfinite(arms[reference].scores).any()
        ):
            centre = float(np.nanmean(arms[reference].scores))
            axes.axvspan(centre - margin, centre + margin, color=INK, alpha=0.08, linewidth=0)
            axes.axvline(centre, color=INK, alpha=0.4, linewidth=0.8)
        for row, (name, arm) in enumerate(arms.items()):
            known = np.isfinite(arm.scores)
            offsets = row + 0.24 * _spread(len(arm.scores))
            for chosen, marker in ((known & ~arm.diverged, "o"), (known & arm.diverged, "x")):
                axes.plot(arm.scores[chosen], offsets[chosen], marker, color=colours[name], markersize=4, alpha=0.55)
            found = confidence_bands.point(arm.scores)
            axes.plot([found.low, found.high], [row, row], color=INK, linewidth=1.6)
            axes.plot([found.estimate], [row], "D", color=colours[name], markeredgecolor=INK, markersize=6)
        axes.set_yticks(range(len(arms)), list(arms))
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)

    return _svg(draw, height=0.75 + 0.45 * max(len(arms), 2))


def _spread(n: int) -> np.ndarray:
    """n offsets in [-1, 1] that keep neighbours apart, the same every time."""
    golden = 0.6180339887498949
    return 2 * ((np.arange(n) * golden + 0.5) % 1) - 1


def _spans_decades(values: list[np.ndarray]) -> bool:
    drawn = [confidence_bands.curve(value) for value in values]
    found = np.concatenate([line for curve in drawn for line in (curve.mean, curve.rest)])
    found = found[np.isfinite(found)]
    return bool(found.min() > 0 and found.max() / found.min() > 50)


def _svg(draw: Callable[[Axes], None], height: float) -> Markup:
    """Draw on fresh axes -> an <svg> element without prolog, with ids of its own, in the page's text colour."""
    text = _drawn(
        lambda figure: draw(figure.add_subplot()),
        (WIDTH, height),
        {"svg.hashsalt": f"rlnorm-{next(_numbers)}"},
        {"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'<metadata>.*?</metadata>|(?<=<g) id="[^"]*"', "", text, flags=re.DOTALL)
    return Markup(re.sub(r'<svg (.*?)(height|width)="[^"]*" (.*?)(height|width)="[^"]*"', r"<svg \1\3", text, count=1))


def _drawn(
    draw: Callable[[Figure], None],
    size: tuple[float, float],
    style: Mapping[Any, object],
    metadata: Mapping[str, str | None],
) -> str:
    with rc_context({**MATPLOTLIB, **style}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        out = StringIO()
        figure.savefig(out, format="svg", metadata=metadata)
    return out.getvalue()
