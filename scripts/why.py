"""Run the experiments of docs/results/why.md: why norms do what they do in DQN; finished ones are kept.

python scripts/why.py --only finding hidden --write docs/results/why.md

Acrobot is stepped by EnvPool: pip install 'rlnorm[envpool]'. An experiment whose rows lie in `--out` is not run again.
The tables stand on the page between markers, and the rows of all experiments beside it, in why.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from calibrate_intervals import replace

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, unknown, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.study.plan.unit import commit
from rlnorm.study.study import out_errors
from rlnorm.validation.options import read, typed
from rlnorm.validation.why import EXPERIMENTS, tables


def main(only: tuple[str, ...] = tuple(EXPERIMENTS), out: Path = Path("runs/why"), write: Path | None = None) -> None:
    """Run what is missing, print the tables and write them.

    Args:
        only: The experiments: finding, optimism, tandem, pace, hidden, target, shown, ending, fixed.
        out: Folder of rows, one file an experiment.
        write: Put the tables into this page, and the rows beside it.
    """
    wrong = [unknown("experiment", name, EXPERIMENTS) for name in only if name not in EXPERIMENTS]
    page_errors = () if write is None else unwritable_file("the page", "--write", write)
    raise_if_any([*wrong, *out_errors(out), *page_errors])
    torch.set_num_threads(1)
    found = {name: done(name, out) for name in only}
    text = "" if write is None else write.read_text(encoding="utf-8")
    for name, kept in found.items():
        table = tables(name, kept["rows"])
        print(f"{name}\n\n{table}\n")
        text = replace(text, name, table) if write else text
    if write:
        beside = write.with_suffix(".json")
        before = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        write_atomically(beside, lines({**before, **found}))
        write_atomically(write, text)


def done(name: str, out: Path) -> dict[str, Any]:
    """What an experiment gave: commit, seconds of CPU and rows; run where it is not there yet."""
    file = out / f"{name}.json"
    if not file.exists():
        began, made = time.process_time(), commit()
        rows = list(EXPERIMENTS[name]())
        kept = {"commit": made, "seconds": round(time.process_time() - began), "rows": rows}
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lines({name: kept}))
    return json.loads(file.read_text(encoding="utf-8"))[name]


def lines(found: dict[str, dict[str, Any]]) -> str:
    """JSON with one line a row."""
    parts = []
    for name, kept in found.items():
        rows = ",\n".join(map(json.dumps, kept["rows"]))
        parts.append(f'"{name}": {{"commit": "{kept["commit"]}", "seconds": {kept["seconds"]}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
