"""Draw the picture of the README from a folder of results.

python scripts/readme_figure.py runs/study docs/figures/dqn_cartpole.svg
"""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from matplotlib.figure import Figure

from rlnorm.cli import guarded
from rlnorm.errors import ConfigError, raise_if_any, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import assess
from rlnorm.study.plan import Request, plan
from rlnorm.study.report.html import figures
from rlnorm.study.report.html.style import colours
from rlnorm.study.run import Store
from rlnorm.validation.options import read, typed

CLAIMS = ("dqn-ln", "dqn-bn")
NAMES = {"none": "no norm", "layer": "LayerNorm", "batch": "BatchNorm"}


def main(
    directory: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]],
    target: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="TARGET")]],
) -> None:
    """Mean training return with its 95 % band, one line per norm, at the preset `quick`.

    Args:
        directory: Folder of the results of dqn-ln and dqn-bn.
        target: Write the picture (SVG) to this file.
    """
    raise_if_any(unwritable_file("the picture", "TARGET", target))
    found, store = shipped(), Store(directory, any_version=True)
    results = [assess(plan(Request(found[name], "quick"), store.records), store.find) for name in CLAIMS]
    arms = {name: arm for result in results for name, arm in result.parts[0].arms.items()}
    if not all("return" in arm.curves for arm in arms.values()):
        command = f"rlnorm run {' '.join(CLAIMS)} --preset quick --out {directory}"
        raise ConfigError(f"runs are missing in {str(directory)!r}; expected all of `{command}`.")
    curves = {name: arm.curves["return"] for name, arm in arms.items()}

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(ylabel="training return")
        for name, colour in colours(NAMES).items():
            figures.band(axes, curves[name], colour, f"{NAMES[name]} (n = {len(curves[name].values)})")
        figures.over_steps(axes, "environment steps")
        axes.set_title("DQN on CartPole-v1: mean over seeds with its 95 % band", fontsize=10)
        axes.legend(frameon=False)

    write_atomically(target, figures.picture(draw, (7, 3)))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
