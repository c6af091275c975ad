"""Hold our DQN against stable-baselines3's: update by update, then whole runs; finished runs are kept.

python scripts/fidelity.py --out runs/fidelity --write docs/results/fidelity.md

The curves are written beside the page: docs/results/fidelity.svg.
"""

import sys
from argparse import Namespace
from pathlib import Path

import torch
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study import fidelity, script
from rlnorm.study.assess import Asked
from rlnorm.study.discover import by_path
from rlnorm.study.study import commit, study


def main() -> int:
    """Compare updates, run what is missing, then print and write the page."""
    asked = script.options(__doc__, "runs/fidelity")
    return guarded(lambda: _run(asked), script.typed())


def _run(asked: Namespace) -> None:
    script.check(asked)
    torch.set_num_threads(1)
    exactly = fidelity.exact()
    whole = Asked(by_path(fidelity.__file__), "full", seeds=fidelity.SEEDS)
    result = study([whole], asked.out, jobs=asked.jobs, console=Console()).claims[0]
    name = (asked.write or Path("fidelity.md")).stem
    script.show(fidelity.page(exactly, result, commit(), f"{name}.svg"), asked.write, fidelity.draw(result))


if __name__ == "__main__":
    sys.exit(main())
