"""Compute the numbers and draw the figures of docs/textbook.md: python scripts/textbook_figures.py"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from rlnorm.cli import guarded
from rlnorm.textbook import BatchNorm, input_gradient, short_input_gradient
from rlnorm.textbook.arrays import Array
from rlnorm.textbook.short_formula import last_term, learning, mended, xhat_term
from rlnorm.validation.options import read, typed

X, DY = np.array([1.0, 7.0, 9.0, 15.0]), np.array([1.0, 0.0, -1.0, 2.0])
GAMMA, BETA = 2.0, 1.0
RATES, SEEDS, EPOCHS = (0.1, 1.0, 3.0), 5, 15
FORMULAS: Mapping[str, Callable[[BatchNorm], Array]] = {"whole": input_gradient, "short": short_input_gradient}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "textbook",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def worked_example(dx: Callable[[BatchNorm], Array] = input_gradient) -> BatchNorm:
    """Four rows of one feature through BN with eps 0, forward and backward."""
    bn = BatchNorm(1, eps=0.0, dx=dx)
    bn.gamma, bn.beta = np.array([GAMMA]), np.array([BETA])
    bn.forward(X[:, None])
    bn.backward(DY[:, None])
    return bn


def tables() -> dict[str, str]:
    """Name -> Markdown: the tables of the document, as its markers name them."""
    bn, short = worked_example(), worked_example(short_input_gradient)
    through = {"dxhat/std": bn.dxhat / bn.std, "dvar 2(x-mu)/m": bn.dvar * 2 * (bn.x - bn.mu) / bn.m}
    last = last_term(bn) * np.ones_like(bn.x)
    return {
        "forward": table({"x": bn.x, "x - mu": bn.x - bn.mu, "xhat": bn.xhat, "y": bn.y}),
        "statistics": scalars(bn, "mu", "var", "std", "running_mean", "running_var"),
        "gradients": scalars(bn, "dgamma", "dbeta", "dvar", "dmu"),
        "backward": table(
            {"dy": bn.dy, "dxhat": bn.dxhat, **through, "dmu/m": bn.dmu / bn.m * np.ones_like(bn.x), "dx": bn.dx}
        ),
        "short": table(
            {
                "short dx": short.dx,
                "gamma/std dgamma xhat/m": xhat_term(bn),
                "dbeta/m": last,
                "gamma/std dbeta/m": bn.gamma / bn.std * last,
                "mended dx": mended(bn),
            }
        ),
        "training": training_table(),
    }


def number(value: float) -> str:
    """Up to four digits behind the point, no trailing zeros."""
    return f"{round(float(value), 4) + 0.0:.4f}".rstrip("0").rstrip(".")


def table(columns: Mapping[str, Array]) -> str:
    """Columns (m, 1) as a table with a row for each of the batch and their sum below."""
    lines = ["| row | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for i in range(len(X)):
        lines.append(f"| {i + 1} | " + " | ".join(number(column[i, 0]) for column in columns.values()) + " |")
    lines.append("| sum | " + " | ".join(number(column.sum()) for column in columns.values()) + " |")
    return "\n".join(lines)


def scalars(bn: BatchNorm, *names: str) -> str:
    """One line: name = number, for quantities of the one feature."""
    return ", ".join(f"`{name}` = {number(getattr(bn, name)[0])}" for name in names)


@dataclass(frozen=True)
class Run:
    """A network on digits: test accuracy after each epoch, and the largest weight before the BN."""

    accuracy: Array
    weight: Array
    bias: Array


@cache
def trained(formula: str, rate: float, seed: int) -> Run:
    """One network on digits, with one formula for dL/dx."""
    found = [
        (score, np.abs(first.W).max(), np.abs(first.b).max())
        for score, first in learning(FORMULAS[formula], rate, seed, epochs=EPOCHS, batch=32)
    ]
    return Run(*np.array(found).T)


def training_table() -> str:
    """Test accuracy, largest weight and largest bias at the end, means over seeds, for each formula and rate."""
    lines = ["| learning rate | dx | test accuracy | largest W | largest b |", "|---|---|---|---|---|"]
    for rate in RATES:
        for formula in FORMULAS:
            runs = [trained(formula, rate, seed) for seed in range(SEEDS)]
            share, weight, bias = (np.mean([getattr(r, n)[-1] for r in runs]) for n in ("accuracy", "weight", "bias"))
            size = f"{bias:.2g}" if bias > 1e-12 else "0, to rounding"
            lines.append(f"| {rate:g} | {formula} | {100 * share:.1f} % | {weight:.2f} | {size} |")
    return "\n".join(lines)


def figures() -> Iterator[tuple[str, Figure]]:
    """File name -> figure."""
    for draw in (distributions, projection, running, folding, training):
        with mpl.rc_context(STYLE):
            yield draw.__name__, draw()


def panels(n: int) -> tuple[Figure, list[Axes]]:
    """A figure with n panels side by side."""
    figure = Figure(figsize=(3 * n, 2.6), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, n)))


def distributions() -> Figure:
    """A skewed feature before BN, normalized, and scaled and shifted: place and width change, the shape does not."""
    figure, axes = panels(3)
    x = 4 + 3 * np.random.default_rng(0).exponential(size=(2000, 1))
    bn = BatchNorm(1)
    bn.gamma, bn.beta = np.array([0.5]), np.array([-1.0])
    bn.forward(x)
    for axis, name, values in zip(axes, ("x", "xhat", "y"), (bn.x, bn.xhat, bn.y), strict=True):
        axis.hist(values[:, 0], bins=40, density=True, color="0.75")
        grid = np.linspace(values.mean() - 3 * values.std(), values.mean() + 4 * values.std(), 100)
        normal = np.exp(-(((grid - values.mean()) / values.std()) ** 2) / 2) / values.std() / np.sqrt(2 * np.pi)
        axis.plot(grid, normal, color="C0", label="normal, same moments")
        axis.set_title(f"{name}: mean {values.mean():.3g}, std {values.std():.3g}")
        axis.set_yticks([])
    axes[0].legend()
    return figure


def projection() -> Figure:
    """A batch of three, seen along (1, 1, 1): xhat on its circle, and what of the gradient is left."""
    figure, (axis,) = panels(1)
    figure.set_size_inches(4, 4)
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    bn = BatchNorm(1, eps=0.0)
    bn.forward(np.array([[1.0], [2.0], [6.0]]))
    bn.backward(np.array([[0.4], [-1.6], [1.4]]))
    xhat, g, dx = (plane @ v[:, 0] for v in (bn.xhat, bn.dxhat, bn.dx * bn.std))
    angle = np.linspace(0, 2 * np.pi, 100)
    axis.plot(np.sqrt(3) * np.cos(angle), np.sqrt(3) * np.sin(angle), color="0.8")
    for vector, colour, name in ((xhat, "0.4", "xhat"), (g, "C1", "dxhat, without its mean"), (dx, "C0", "std · dx")):
        x, y = np.zeros(2) if name == "xhat" else xhat
        arrow = {"arrowstyle": "->", "color": colour, "lw": 1.5}
        axis.annotate("", (x + vector[0], y + vector[1]), (x, y), arrowprops=arrow)
        axis.plot([], [], color=colour, label=name)
    axis.plot(*zip(xhat + g, xhat + dx, strict=True), ":", color="C1", label="lost: the part along xhat")
    axis.set_aspect("equal")
    axis.set_xlim(-3.6, 2.0)
    axis.set_ylim(-3.4, 2.2)
    axis.axis("off")
    axis.legend(loc="lower left", fontsize=8)
    return figure


def running() -> Figure:
    """Running mean and variance of batches of 16 from a normal distribution of mean 3 and variance 4."""
    figure, axes = panels(2)
    batches = np.random.default_rng(0).normal(3, 2, (300, 16, 1))
    for momentum in (0.5, 0.1, 0.01):
        bn, kept = BatchNorm(1, momentum=momentum), []
        for x in batches:
            bn.forward(x)
            kept.append((bn.running_mean[0], bn.running_var[0]))
        for axis, curve in zip(axes, np.transpose(kept), strict=True):
            axis.plot(curve, lw=1, label=f"momentum {momentum:g}")
    for axis, name, truth in zip(axes, ("running mean", "running variance"), (3, 4), strict=True):
        axis.axhline(truth, color="0.6", ls=":")
        axis.set_title(name)
        axis.set_xlabel("batches seen")
    axes[0].legend()
    return figure


def folding() -> Figure:
    """One unit at inference: Linear and then BN, two straight lines, against the one straight line they make."""
    figure, axes = panels(3)
    x = np.linspace(-2, 2, 21)
    w, b = 1.5, -2.0
    bn = BatchNorm(1, eps=0.0)
    bn.gamma, bn.beta, bn.running_mean, bn.running_var = map(np.atleast_1d, (-0.8, 0.5, -1.0, 4.0))
    z = w * x + b
    y = bn.forward(z[:, None], training=False)[:, 0]
    a = bn.gamma[0] / bn.std[0]
    c = bn.beta[0] - a * bn.mu[0]
    axes[0].plot(x, z, color="C1")
    axes[0].set_title(f"Linear: z = {w:g} x - {-b:g}")
    axes[1].plot(z, y, color="C1")
    axes[1].set_title(f"BN at test: y = {number(a)} z + {number(c)}")
    axes[2].plot(x, y, "o", ms=3, color="C1", label="both, one after the other")
    axes[2].plot(x, a * w * x + a * b + c, color="C0", label="folded into one Linear")
    axes[2].set_title(f"y = {number(a * w)} x + {number(a * b + c)}")
    axes[2].legend(loc="lower left")
    for axis, name in zip(axes, "xzx", strict=True):
        axis.set_xlabel(name)
    return figure


def training() -> Figure:
    """Digits learnt with both formulas for dL/dx: test accuracy by epoch, mean and range over seeds."""
    figure, axes = panels(len(RATES))
    for axis, rate in zip(axes, RATES, strict=True):
        for formula in FORMULAS:
            curves = np.array([trained(formula, rate, seed).accuracy for seed in range(SEEDS)])
            epochs = np.arange(1, EPOCHS + 1)
            (line,) = axis.plot(epochs, curves.mean(axis=0), label=f"{formula} formula")
            axis.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=0.2, lw=0)
        axis.set_ylim(0.6, 1)
        axis.set_title(f"learning rate {rate:g}")
        axis.set_xlabel("epochs")
    axes[0].set_ylabel("test accuracy")
    axes[0].legend(loc="lower right")
    return figure


def filled(document: str) -> str:
    """The document with every table between `<!-- name -->` and `<!-- end -->` computed anew."""
    for name, text in tables().items():
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        document, found = re.subn(pattern, lambda match, text=text: match[1] + text + match[2], document, flags=re.S)
        if found != 1:
            raise ValueError(f"the document must have one place for the table {name!r}, found {found}")
    return document


def write(folder: Path) -> None:
    """Fill `folder`/textbook.md and draw `folder`/figures/*.svg.

    On one thread: the short formula at a large rate is chaotic, and sums in another order end elsewhere.
    """
    with threadpool_limits(1):
        _write(folder)


def _write(folder: Path) -> None:
    page = folder / "textbook.md"
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures():
        figure.savefig(folder / "figures" / f"{name}.svg", metadata={"Date": None})


def main(docs: Path = Path(__file__).parents[1] / "docs") -> None:
    """Fill the page and draw its figures.

    Args:
        docs: Folder of textbook.md and figures/.
    """
    write(docs)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
