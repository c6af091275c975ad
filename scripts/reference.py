"""Run the DQN engine under published settings and write the table beside the published scores.

python scripts/reference.py --seeds 16 --out runs/reference --write docs/results/reference.md
"""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from rlnorm.study.plan import commit
from rlnorm.study.reference import REFERENCES, reference_units, table
from rlnorm.study.run import Bars, run, unfinished
from rlnorm.study.store import Store


def main() -> int:
    """Run what is missing, then print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("runs/reference"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    store = Store(options.out)
    units = [unit for name in REFERENCES for unit in reference_units(name, options.seeds)]
    with Bars(Console(), len(unfinished(units, store))) as bars:
        failed = run(units, store, options.jobs, bars)
    if failed:
        return 1
    text = table(options.seeds, store, commit(), f"python scripts/reference.py --seeds {options.seeds}")
    (options.write or Path(os.devnull)).write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
