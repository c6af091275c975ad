"""CPU seconds of logging beside those of what is logged: snapshots, the live view, event files, and opening them.

    python scripts/bench_logging.py
    python scripts/bench_logging.py --catalogue runs/full

The first measures one unit of DQN that is looked at after every record, the second the event files of a study, from its
rows to TensorBoard. User and system seconds, so that other work on the machine counts as little as can be. A study
looks at its units every ten seconds: less often than after every record, unless a unit takes over a quarter of an hour.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import ProxyHandler, build_opener

from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.dqn import probing
from rlnorm.showing import judged
from rlnorm.study.claim import Record
from rlnorm.study.plan import training_unit
from rlnorm.study.report import live, tensorboard
from rlnorm.study.run import Store, rows, worker
from rlnorm.validation.options import read, typed

SETTINGS = {"env": "CartPole-v1", "norm": "batch", "hidden": (64, 64), "envs": 10, "starts": 1000}
console = Console()


class Spent:
    """CPU seconds of this process in some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, whose seconds are added up."""

        def timed(*given: Any, **named: Any) -> Any:
            begin = time.process_time()
            try:
                return call(*given, **named)
            finally:
                self.seconds += time.process_time() - begin

        return timed


def unit(steps: int, agents: int, compile: bool) -> dict[str, float]:
    """One unit, stored and looked at after every record -> CPU seconds of each, and bytes of its file."""
    settings = {**SETTINGS, "compile": compile}
    one = training_unit("dqn", settings, range(agents), [1e-3] * agents, steps, "bench")
    looks, snapshots, now = Spent(), Spent(), [0.0]
    probing.snapshot = snapshots.of(probing.snapshot)
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        with live.Live(store, {one.id: "claim/part/arm"}, console.print, lambda: now[0]) as shown:
            look = looks.of(lambda: shown.running({one: 0}))

            def rows() -> Iterator[Record]:
                for record in worker.records(one):
                    now[0] += live.EVERY
                    look()
                    yield record

            begin = time.process_time()
            store.write(one, rows(), time.monotonic)
            whole = time.process_time() - begin
        records = store.read(one).records
        kept = sum(len(json.dumps(record.get("snapshot", ""), separators=(",", ":"))) for record in records)
        size = store.path(one).stat().st_size
    run = whole - looks.seconds - snapshots.seconds
    return {"run": run, "live": looks.seconds, "snapshots": snapshots.seconds, "bytes": size, "of snapshots": kept}


def measured(directory: Path) -> dict[str, float]:
    """CPU seconds of writing a study's event files and of TensorBoard until it has loaded them; its units' seconds."""
    result = judged(directory)
    writes = Spent()
    with TemporaryDirectory() as folder:
        writes.of(tensorboard.write)(result, Path(folder))
        files = list(Path(folder).rglob("*tfevents*"))
        size = sum(path.stat().st_size for path in files)
        begin = time.monotonic()
        with tensorboard.serving(Path(folder) / tensorboard.FOLDER) as (address, server):
            while len(_runs(address)) < len(files):
                time.sleep(0.1)
            loading = {"loading": used_by(server.pid), "loaded after": time.monotonic() - begin}
    units = sum(rows.read(path).seconds for path in Store(directory).files())
    return {"units": units, "writing": writes.seconds, "bytes": size, **loading}


def used_by(process: int) -> float:
    """CPU seconds of a process and of those that it started, from /proc."""
    folder = Path("/proc") / str(process)
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    started = [int(child) for own in folder.glob("task/*/children") for child in own.read_text().split()]
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + sum(map(used_by, started))


def _runs(address: str) -> list[str]:
    with build_opener(ProxyHandler({})).open(f"{address}data/runs", timeout=60) as answer:
        return json.load(answer)


def main(steps: int = 20_000, agents: int = 16, compile: bool = False, catalogue: Path | None = None) -> None:
    """Measure, and print what was found as one line of JSON.

    Args:
        steps: Budget of the unit.
        agents: Of the unit.
        compile: Compile its update.
        catalogue: Folder of a study; measured instead of a unit.
    """
    found = unit(steps, agents, compile) if catalogue is None else measured(catalogue)
    console.print_json(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
