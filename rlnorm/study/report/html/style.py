"""How figures look: one matplotlib style and one palette for the whole report."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

INK = "#010203"
"""Stands for the page's text colour; replaced by `currentColor`, so that figures follow light and dark."""

# After Paul Tol's "bright" scheme: told apart by colour-blind readers, on white and near-black; grey for the plain net.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#b8a41f", "#33a5c9", "#aa3377", "#c46a1f", "#7a68c9")
PLAIN = "#8a8f98"
PREFERRED: Mapping[str, str] = {"none": PLAIN, "batch": PALETTE[0], "layer": PALETTE[1]}

MATPLOTLIB: Mapping[Any, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
}


def colours(arms: Iterable[str], together: Iterable[Collection[str]] = ()) -> dict[str, str]:
    """A colour per arm name, everywhere the same: fixed for none, batch and layer.

    Others take, in order of first appearance, the rarest colour that no arm has which stands `together` with them in a
    figure. Beyond eight others in one figure colours come again.
    """
    found = dict.fromkeys(arms)
    chosen = {name: PREFERRED[name] for name in found if name in PREFERRED}
    groups = list(together)
    for name in (name for name in found if name not in PREFERRED):
        near = {chosen[other] for group in groups if name in group for other in group if other in chosen}
        free = [colour for colour in PALETTE if colour not in near] or list(PALETTE)
        used = Counter(chosen.values())
        chosen[name] = min(free, key=lambda colour: used[colour])
    return chosen
