"""Draw the README's picture: python scripts/readme_figure.py runs/study docs/figures/dqn_cartpole.svg"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import assess
from rlnorm.study.plan import Request, plan
from rlnorm.study.report.html import figures
from rlnorm.study.report.html.style import colours
from rlnorm.study.run import Store

NAMES = {"none": "no norm", "layer": "LayerNorm", "batch": "BatchNorm"}


def main(directory: Path, target: Path) -> None:
    """Mean training return with its 95 % band, one line per norm, as the preset `quick` left it in `directory`."""
    found, store = shipped(), Store(directory, any_version=True)
    results = [assess(plan(Request(found[name], "quick"), store.records), store.find) for name in ("dqn-ln", "dqn-bn")]
    curves = {name: arm.curves["return"] for result in results for name, arm in result.parts[0].arms.items()}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(ylabel="training return")
        for name, colour in colours(NAMES).items():
            figures.band(axes, curves[name], colour, f"{NAMES[name]} (n = {len(curves[name].values)})")
        figures.over_steps(axes, "environment steps")
        axes.set_title("DQN on CartPole-v1: mean over seeds with its 95 % band", fontsize=10)
        axes.legend(frameon=False)

    target.write_text(figures.picture(draw, (7, 3)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
