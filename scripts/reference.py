"""Run the DQN engine under published settings and write the table beside the published scores.

python scripts/reference.py --seeds 16 --out runs/reference --write docs/results/reference.md
"""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study.plan.unit import commit
from rlnorm.study.run import Store, complete
from rlnorm.validation.options import Options, read, show, typed
from rlnorm.validation.published import page, units

DEFAULTS = Options(Path("runs/reference"))


def main(options: Annotated[Options, tyro.conf.arg(name="")] = DEFAULTS, seeds: int = 16) -> None:
    """Run what is missing, then print and write the page.

    Args:
        seeds: Seeds of each setting, from 0.
    """
    options.check(seeds=seeds)
    complete(units(seeds), store := Store(options.out), options.jobs, Console())
    show(page(seeds, store, commit(), f"python scripts/reference.py --seeds {seeds}"), options.write)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
