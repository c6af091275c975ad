"""Draw the README's picture: python scripts/readme_figure.py runs/study docs/figures/dqn_cartpole.svg"""

import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from rlnorm.api import find_claims
from rlnorm.study import bands
from rlnorm.study.assess import Asked, assess
from rlnorm.study.report.style import INK, MATPLOTLIB, colours
from rlnorm.study.store import Store

NAMES = {"none": "no norm", "layer": "LayerNorm", "batch": "BatchNorm"}


def main(directory: Path, target: Path) -> None:
    """Mean training return with its 95 % band, one line per norm, as the preset `quick` left it in `directory`."""
    found, store = find_claims(), Store(directory, any_version=True)
    results = [assess(Asked(found[name], "quick"), store) for name in ("dqn-ln", "dqn-bn")]
    curves = {name: arm.curves["return"] for result in results for name, arm in result.parts[0].arms.items()}
    with rc_context({**MATPLOTLIB, "figure.facecolor": "white"}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.add_subplot(xlabel="environment steps", ylabel="training return")
        for name, colour in colours(NAMES).items():
            steps, band = curves[name].steps, bands.curve(curves[name].values)
            axes.plot(steps, band.mean, color=colour, label=f"{NAMES[name]} (n = {len(curves[name].values)})")
            axes.fill_between(steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
        axes.set_title("DQN on CartPole-v1: mean over seeds with its 95 % band", fontsize=10)
        axes.legend(frameon=False)
        figure.savefig(target, metadata={"Date": None})
    target.write_text(target.read_text(encoding="utf-8").replace(INK, "#24292f"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
