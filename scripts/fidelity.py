"""Hold our DQN against stable-baselines3's: update by update, then whole runs; finished runs are kept.

python scripts/fidelity.py --out runs/fidelity --write docs/results/fidelity.md"""

import argparse
import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study import fidelity
from rlnorm.study.assess import Asked
from rlnorm.study.discover import by_path
from rlnorm.study.study import commit, study


def main() -> int:
    """Compare, print and write the page; curves and bands are in the report of the output folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("runs/fidelity"))
    parser.add_argument("--write", type=Path, default=Path(os.devnull))
    options = parser.parse_args()
    return guarded(lambda: _run(options.out, options.jobs, options.write), "python scripts/fidelity.py")


def _run(out: Path, jobs: int, write: Path) -> None:
    torch.set_num_threads(1)
    exactly = {(norm, clip): list(fidelity.exact(norm, clip=clip)) for norm, clip in fidelity.EXACT}
    asked = Asked(by_path(fidelity.__file__), "full", seeds=fidelity.SEEDS)
    result = study([asked], out, jobs=jobs, console=Console()).claims[0]
    write.write_text(text := fidelity.page(exactly, result, commit()), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
