"""Train DQN and QR-DQN of stable-baselines3 with our norms and write the table of them; finished runs are kept.

python scripts/sb3_table.py --seeds 8 --out runs/sb3 --write docs/results/sb3.md
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
from rlnorm.validation.sb3_table import page, units

DEFAULTS = Options(Path("runs/sb3"))


def main(options: Annotated[Options, tyro.conf.arg(name="")] = DEFAULTS, seeds: int = 8) -> None:
    """Run what is missing, then print and write the page.

    Args:
        seeds: Seeds of each row, from 0.
    """
    options.check(seeds=seeds)
    complete(units(seeds), store := Store(options.out), options.jobs, Console())
    show(page(seeds, store, commit(), f"python scripts/sb3_table.py --seeds {seeds}"), options.write)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
