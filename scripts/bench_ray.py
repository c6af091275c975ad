"""What a unit costs on Ray beside this machine's own processes, and what the process that asks can take in.

python scripts/bench_ray.py --units 60 --rounds 3

Needs `pip install 'rlnorm[ray]'`. Ray is started on this machine and stopped at the end. Units are parts of an exact
claim with one case each, which does nothing, or sleeps for 0.2 s. Each side does them one and two at a time, after its
processes have started and imported all: the time of one unit a process is subtracted. Rounds of the two sides
alternate, and the least time is shown: it is what remains where nothing else is in the way. Sleeping units need no
core, so that their throughput says how well a backend keeps its places busy even on a loaded machine.

The last rows write units of the size of a DQN unit with 16 agents to the disk, as the process that asks does.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from rlnorm.errors import raise_if_any, too_few
from rlnorm.study.claim.load import by_path
from rlnorm.study.plan import Request, Unit, plan, units
from rlnorm.study.run import Backend, Bars, Store, backend_errors, opened, run

SLEEP = 0.2
CLAIM = """
import time
from rlnorm.study.claim import Claim, Exact

def part(seconds):
    return Exact(
        statement="0 = 0",
        formula=lambda case: time.sleep(seconds) or 0.0,
        truth=lambda case: 0.0,
        draw=lambda rng: {{"x": rng.normal()}},
        scale=lambda case: 1.0,
        cases=1,
    )

CLAIM = Claim(
    title="Nothing to do",
    statement="Nothing to do.",
    source="nowhere",
    kind="exact",
    parts={{f"{{seconds}} s, {{i}}": part(seconds) for seconds in (0.0, {sleep}) for i in range({count})}},
)
"""


def seconds(backend: Backend, work: Sequence[Unit], at_a_time: int) -> float:
    """How long units take that are to be done in an empty folder."""
    with TemporaryDirectory() as name:
        store = Store(Path(name))
        begin = time.perf_counter()
        failed = run(work, store, at_a_time, Bars(Console(quiet=True), ()).__enter__(), start=backend.start)
        passed = time.perf_counter() - begin
    if failed:
        raise RuntimeError("; ".join(failed.values()))
    return passed


def each(backend: Backend, work: Sequence[Unit], at_a_time: int) -> float:
    """Seconds a unit, beyond the start of the processes and their first."""
    return (seconds(backend, work, at_a_time) - seconds(backend, work[:at_a_time], at_a_time)) / (len(work) - at_a_time)


def written(unit: Unit, count: int) -> tuple[float, float]:
    """Units a second, and megabytes a second, of one process that writes units of 50 records of 16 agents."""
    rng = np.random.default_rng(0)
    numbers = {key: rng.normal(size=16).tolist() for key in ("loss", "q", "return", "epsilon")}
    records = [{"step": step, **numbers} for step in range(1, 51)]
    with TemporaryDirectory(dir=".") as name:  # the disk of the results: a temporary folder may lie in memory
        store, size = Store(Path(name)), 0
        begin = time.perf_counter()
        for _ in range(count):
            store.write(unit, records, time.monotonic)
            size += store.path(unit).stat().st_size
        passed = time.perf_counter() - begin
    return count / passed, size / passed / 1e6


def main(units: int = 60, rounds: int = 3) -> None:
    """Measure, and print the rows.

    Args:
        units: Units of each kind.
        rounds: Rounds of both sides.
    """
    raise_if_any([*too_few({"--units": units - 2, "--rounds": rounds}), *backend_errors("ray", None)])
    table = Table("case", "ray", "local", "rounds")
    with TemporaryDirectory() as name:
        path = Path(name) / "nothing_to_do.py"
        path.write_text(CLAIM.format(sleep=SLEEP, count=units), "utf-8")
        request = Request(by_path(path), "smoke")
        work = planned(request)
        os.environ |= {"RAY_worker_niceness": "0"}  # as the other side's
        with (
            opened("ray", "local", [request], Path(name)) as ray,
            opened("local", None, [request], Path(name)) as local,
        ):
            sides = {"ray": ray, "local": local}
            for kind, at_a_time in ((kind, count) for kind in ("nothing", "sleeps") for count in (1, 2)):
                chosen = work[:units] if kind == "nothing" else work[units:]
                seconds(ray, chosen[:at_a_time], at_a_time)  # its processes start
                took = {side: [] for side in sides}
                for _ in range(rounds):
                    for side, backend in sides.items():
                        took[side].append(each(backend, chosen, at_a_time))
                shown = {side: min(values) for side, values in took.items()}
                if kind == "nothing":
                    figures = [f"{1e3 * value:.1f}" for value in shown.values()]
                    table.add_row(f"ms a unit, {at_a_time} at a time", *figures, str(rounds))
                else:
                    figures = [f"{SLEEP / value / at_a_time:.2f}" for value in shown.values()]
                    table.add_row(f"of the ideal throughput, {at_a_time} at a time", *figures, str(rounds))
        fastest = max(written(work[0], units) for _ in range(rounds))
        table.add_row("units/s written here (MB/s)", f"{fastest[0]:.0f} ({fastest[1]:.1f})", "", str(rounds))
    Console().print(table)


def planned(request: Request) -> list[Unit]:
    """Every unit of the request."""
    return units([plan(request, lambda unit: None)])


if __name__ == "__main__":
    # Here, so that what is measured does not load them.
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
