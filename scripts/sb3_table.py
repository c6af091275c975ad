"""Train DQN and QR-DQN of stable-baselines3 with our norms and write the table of them; finished runs are kept.

python scripts/sb3_table.py --seeds 8 --out runs/sb3 --write docs/results/sb3.md
"""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from rlnorm.study.run import Bars, run, unfinished
from rlnorm.study.sb3_table import table, units
from rlnorm.study.store import Store
from rlnorm.study.study import commit


def main() -> int:
    """Run what is missing, then print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("runs/sb3"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    store = Store(options.out)
    missing = unfinished(units(options.seeds), store)
    with Bars(Console(), len(missing)) as bars:
        if run(missing, store, options.jobs, bars):
            return 1
    text = table(options.seeds, store, commit(), f"python scripts/sb3_table.py --seeds {options.seeds}")
    (options.write or Path(os.devnull)).write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
