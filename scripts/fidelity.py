"""Hold our DQN against stable-baselines3's: update by update, then whole runs; finished runs are kept.

python scripts/fidelity.py --out runs/fidelity --write docs/results/fidelity.md

The curves are written beside the page: docs/results/fidelity.svg.
"""

import sys
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study.claim.load import by_path
from rlnorm.study.plan import Request
from rlnorm.study.plan.unit import commit
from rlnorm.study.study import study
from rlnorm.validation import runs
from rlnorm.validation.options import Options, read, show, typed

DEFAULTS = Options(Path("runs/fidelity"))


def main(options: Annotated[Options, tyro.conf.arg(name="")] = DEFAULTS) -> None:
    """Compare updates, run what is missing, then print and write the page."""
    options.check()
    torch.set_num_threads(1)
    exactly = runs.exact()
    whole = Request(by_path(runs.__file__), "full", seeds=runs.SEEDS)
    result = study([whole], options.out, jobs=options.jobs, console=Console()).claims[0]
    figure = (options.write or Path("fidelity.md")).with_suffix(".svg").name
    show(runs.page(exactly, result, commit(), figure), options.write, runs.draw(result))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
