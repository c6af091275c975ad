"""Figures as files of their own, for documentation and TensorBoard. The report draws its own, in `page.js`."""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from rlnorm.study.judge.results import Curve
from rlnorm.study.report import confidence_bands
from rlnorm.study.report.html.style import INK, MATPLOTLIB


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
