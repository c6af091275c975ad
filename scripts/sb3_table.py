"""Train DQN and QR-DQN of stable-baselines3 with our norms and write the table of them; finished runs are kept.

python scripts/sb3_table.py --seeds 8 --out runs/sb3 --write docs/results/sb3.md
"""

import sys
from argparse import Namespace

from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study import script
from rlnorm.study.run import complete
from rlnorm.study.sb3_table import table, units
from rlnorm.study.store import Store
from rlnorm.study.study import commit


def main() -> int:
    """Run what is missing, then print and write the table."""
    asked = script.options(__doc__, "runs/sb3", seeds=8)
    command = f"python scripts/sb3_table.py --seeds {asked.seeds}"
    return guarded(lambda: _run(asked, command), script.typed())


def _run(asked: Namespace, command: str) -> None:
    script.check(asked)
    complete(units(asked.seeds), store := Store(asked.out), asked.jobs, Console())
    script.show(table(asked.seeds, store, commit(), command), asked.write)


if __name__ == "__main__":
    sys.exit(main())
