"""Run the DQN engine under published settings and write the table beside the published scores.

python scripts/reference.py --seeds 16 --out runs/reference --write docs/results/reference.md
"""

import sys
from argparse import Namespace

from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study import script
from rlnorm.study.reference import table, units
from rlnorm.study.run import complete
from rlnorm.study.store import Store
from rlnorm.study.study import commit


def main() -> int:
    """Run what is missing, then print and write the table."""
    asked = script.options(__doc__, "runs/reference", seeds=16)
    command = f"python scripts/reference.py --seeds {asked.seeds}"
    return guarded(lambda: _run(asked, command), script.typed())


def _run(asked: Namespace, command: str) -> None:
    script.check(asked)
    complete(units(asked.seeds), store := Store(asked.out), asked.jobs, Console())
    script.show(table(asked.seeds, store, commit(), command), asked.write)


if __name__ == "__main__":
    sys.exit(main())
