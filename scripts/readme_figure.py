"""Draw the README's picture from a finished study.

python scripts/readme_figure.py runs/study docs/figures/dqn_cartpole.svg
"""

import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from rlnorm.api import kept
from rlnorm.study import bands
from rlnorm.study.assess import assess
from rlnorm.study.report.style import INK, MATPLOTLIB, colours
from rlnorm.study.store import Store

NAMES = {"none": "no norm", "layer": "LayerNorm", "batch": "BatchNorm"}


def main(directory: Path, target: Path) -> int:
    """Mean training return with its 95 % band, one line per norm."""
    claims = [assess(one, Store(directory, any_version=True)) for one in kept(directory)]
    arms = {
        name: arm for claim in claims if claim.id in ("dqn-ln", "dqn-bn") for name, arm in claim.parts[0].arms.items()
    }
    with rc_context({**MATPLOTLIB, "figure.facecolor": "white"}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot(xlabel="environment steps", ylabel="training return")
        for name, label in NAMES.items():
            curve, colour = arms[name].curves["return"], colours(NAMES)[name]
            found = bands.curve(curve.values)
            axes.plot(curve.steps, found.mean, color=colour, label=f"{label} (n = {len(curve.values)})")
            axes.fill_between(curve.steps, found.low, found.high, color=colour, alpha=0.2, linewidth=0)
        axes.set_title("DQN on CartPole-v1: mean over seeds with its 95 % band", fontsize=10)
        axes.legend(frameon=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, metadata={"Date": None})
    target.write_text(target.read_text(encoding="utf-8").replace(INK, "#24292f"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
