"""Running units: one supervised process each, as many at a time as `jobs`.

A process that dies fails its own unit only, and the unit is begun anew once. Ctrl-C ends all work within seconds; what
was finished stays. Timing units run alone, after the others.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from pebble import ProcessExpired, ProcessFuture, ProcessPool
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from rlnorm.study import discover, exact
from rlnorm.study.engines import TRAINING
from rlnorm.study.plan import Unit
from rlnorm.study.store import Record, Store

ATTEMPTS = 2
ALONE = ("cost",)


def records(unit: Unit) -> Iterator[Record]:
    """The unit's records, as its engine yields them."""
    if unit.path is None:
        engine = TRAINING[unit.engine]
        return engine.train(**unit.settings, seeds=unit.seeds, rates=unit.rates, steps=unit.steps)
    found = discover.load(unit.path)
    part = found.claim.parts[unit.settings["part"]]
    assert isinstance(part, exact.Exact)
    return exact.run(part, found.id, unit.seeds[0])


def execute(unit: Unit, directory: Path) -> None:
    """Do one unit and store it; this is what a process of its own does."""
    torch.set_num_threads(1)
    Store(directory).write(unit, records(unit), time.monotonic)


class Watcher(Protocol):
    """Is told how the work goes."""

    def tell(self, running: Mapping[Unit, int], finished: int, message: str = "") -> None: ...


def run(units: Sequence[Unit], store: Store, jobs: int, watcher: Watcher) -> dict[Unit, str]:
    """Do every unit that is not finished. -> the units that failed, with the reason in one sentence.

    Raises KeyboardInterrupt on Ctrl-C, after the processes have ended.
    """
    failed: dict[Unit, str] = {}
    missing = [unit for unit in units if not store.finished(unit)]
    store.clear_partial(missing)
    together = sorted((u for u in missing if u.engine not in ALONE), key=_weight, reverse=True)
    for batch, workers in ((together, jobs), ([u for u in missing if u.engine in ALONE], 1)):
        if batch:
            failed |= _run_batch(batch, store, workers, watcher)
    return failed


def _weight(unit: Unit) -> float:
    """Roughly how long a unit takes: long ones go first, so that no core is idle at the end."""
    return unit.steps * max(len(unit.seeds), 1) * (10 if unit.engine == "dqn" else 1)


def _run_batch(units: Sequence[Unit], store: Store, jobs: int, watcher: Watcher) -> dict[Unit, str]:
    failed: dict[Unit, str] = {}
    attempts = dict.fromkeys(units, 0)
    with _pool(jobs) as pool:
        pending: dict[ProcessFuture[None], Unit] = {}

        def start(unit: Unit) -> None:
            attempts[unit] += 1
            pending[pool.schedule(execute, args=(unit, store.directory))] = unit

        for unit in units:
            start(unit)
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                assert isinstance(future, ProcessFuture)
                unit = pending.pop(future)
                message = f"finished: {unit.label}"
                error = future.exception()
                if isinstance(error, ProcessExpired) and attempts[unit] < ATTEMPTS:
                    message = f"died, begun anew: {unit.label}"
                    start(unit)
                elif error is not None:
                    failed[unit] = f"{type(error).__name__}: {error}"
                    message = f"failed: {unit.label}: {failed[unit]}"
                watcher.tell(_running(pending, store), len(units) - len(pending), message)
            watcher.tell(_running(pending, store), len(units) - len(pending))
    return failed


def _running(pending: Mapping[ProcessFuture[None], Unit], store: Store) -> dict[Unit, int]:
    return {unit: store.records_so_far(unit) for future, unit in pending.items() if future.running()}


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPool]:
    """A process a unit (`max_tasks=1`), forked from a server that has imported everything but run nothing."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    pool = ProcessPool(max_workers=jobs, max_tasks=1, initializer=_ignore_interrupts, context=context)  # pyright: ignore[reportArgumentType] (pebble's annotation is too narrow)
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole process group; only the parent acts on it, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Bars:
    """Progress as bars on a terminal, as plain lines elsewhere."""

    def __init__(self, console: Console, total: int):
        self._console, self._total, self._plain = console, total, not console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=self._plain,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        self._overall = self._progress.add_task("units", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, running: Mapping[Unit, int], finished: int, message: str = "") -> None:
        """See `Watcher`."""
        if message and self._plain:
            self._console.print(f"[{finished}/{self._total}] {message}", highlight=False, markup=False)
        elif message and not message.startswith("finished"):
            self._console.print(message, highlight=False, markup=False)
        self._progress.update(self._overall, completed=finished)
        self._show({unit.label: count for unit, count in running.items()})

    def _show(self, counts: Mapping[str, int]) -> None:
        for label in [label for label in self._tasks if label not in counts]:
            self._progress.remove_task(self._tasks.pop(label))
        for label, count in counts.items():
            if label not in self._tasks:
                self._tasks[label] = self._progress.add_task(f"  {label}", total=100)
            self._progress.update(self._tasks[label], completed=min(count, 100))


def unfinished(units: Iterable[Unit], store: Store) -> list[Unit]:
    """The units that still have to be done."""
    return [unit for unit in units if not store.finished(unit)]
