"""Running units: one supervised process each, as many at a time as `jobs`.

A process that dies fails its own unit only, and the unit is begun anew once. Ctrl-C ends all work within seconds; what
was finished stays. No process outlives the one that started it. Exact units are shorter than the start of a process, so
each process does one after the other. Timing units run alone, after the others.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import NamedTuple

import torch
from pebble import ProcessExpired, ProcessFuture, ProcessPool
from rich.console import Console

from rlnorm.study.claim import Cost, Exact, Record
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.load import load
from rlnorm.study.plan import Unit
from rlnorm.study.run import exact, timing
from rlnorm.study.run.progress import Bars, Watcher, weight
from rlnorm.study.run.store import Store

ATTEMPTS = 2
# Importing torch's compiler takes each process longer than many a unit; imported once, it is there in all.
COMPILER = ("torch._dynamo", "torch._inductor.compile_fx")


def records(unit: Unit) -> Iterator[Record]:
    """The unit's records, as its engine yields them."""
    if unit.engine in TRAINING:
        return TRAINING[unit.engine].train(**unit.settings, seeds=unit.seeds, rates=unit.rates, steps=unit.steps)
    found = load(unit.files[0])
    part = found.claim.parts[unit.settings["part"]]
    assert isinstance(part, Exact | Cost)
    if isinstance(part, Cost):
        return timing.run(part, found.id, unit.seeds[0])
    return exact.run(part, found.id, unit.seeds[0])


def execute(unit: Unit, directory: Path) -> None:
    """Do one unit and store it; this is what a process of its own does."""
    Store(directory).write(unit, records(unit), time.monotonic)


class UnitsFailed(Exception):
    """Units that could not be done, one sentence each; the others are kept."""

    def __init__(self, sentences: Sequence[str]):
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class _Pool(NamedTuple):
    """How many processes, how many units each of them does (0: any number), and what is imported before they start."""

    processes: int
    units_each: int
    modules: Sequence[str]


def run(units: Sequence[Unit], store: Store, jobs: int, watcher: Watcher) -> dict[Unit, str]:
    """Do every unit that is not finished. -> the units that failed, with the reason in a sentence.

    Raises KeyboardInterrupt on Ctrl-C, after the processes have ended.
    """
    store.clear_partial()
    missing = sorted(unfinished(units, store), key=weight, reverse=True)
    kinds: dict[str, list[Unit]] = {"exact": [], "training": [], "cost": []}
    for unit in missing:
        kinds["training" if unit.engine in TRAINING else unit.engine].append(unit)
    modules = COMPILER if any(unit.settings.get("compile") for unit in missing) else ()
    pools = {"exact": _Pool(jobs, 0, modules), "training": _Pool(jobs, 1, modules), "cost": _Pool(1, 1, modules)}
    failed: dict[Unit, str] = {}
    try:
        for kind, batch in kinds.items():
            for attempt in range(1, ATTEMPTS + 1):
                batch = _attempt(batch, store, pools[kind], watcher, failed, last=attempt == ATTEMPTS)
    finally:
        store.clear_partial()
    return failed


def _attempt(
    units: Sequence[Unit], store: Store, pool: _Pool, watcher: Watcher, failed: dict[Unit, str], last: bool
) -> list[Unit]:
    """Do `units` and add to `failed`. -> those whose processes died, unless this was the last attempt."""
    again: list[Unit] = []
    with closing(_errors(units, store, pool, watcher)) as ended:
        for unit, error in ended:
            if isinstance(error, DIED) and not last:
                again.append(unit)
                watcher.ended(unit, "died, to be begun anew")
            elif error:
                failed[unit] = _reason(error, store)
                watcher.ended(unit, "failed")
            else:
                watcher.ended(unit, "finished")
    return again


# A process that is killed before it has taken its unit breaks pebble's whole pool; the next attempt has a new one.
DIED = (ProcessExpired, BrokenProcessPool)


def _errors(
    units: Sequence[Unit], store: Store, wanted: _Pool, watcher: Watcher
) -> Generator[tuple[Unit, BaseException | None], None, None]:
    """Each unit as it ends, with what went wrong."""
    if not units:
        return
    with _pool(wanted._replace(processes=min(wanted.processes, len(units)))) as pool:
        pending = {pool.schedule(execute, args=(unit, store.directory)): unit for unit in units}
        while pending:
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                assert isinstance(future, ProcessFuture)
                yield pending.pop(future), future.exception()
            watcher.running({unit: store.records_so_far(unit) for future, unit in pending.items() if future.running()})


def _reason(error: BaseException, store: Store) -> str:
    if isinstance(error, ProcessExpired) and error.exitcode is not None and error.exitcode < 0:
        name = signal.Signals(-error.exitcode).name
        return f"its process was killed by {name}, {ATTEMPTS} times; out of memory is the usual cause."
    if isinstance(error, DIED):
        return f"its process ended without a result, {ATTEMPTS} times: {error}."
    if isinstance(error, OSError):
        return f"its rows cannot be written to {str(store.directory)!r}: {error.strerror or error}."
    return f"{type(error).__name__}: {error}"


class _Process(ForkServerProcess):
    """A process that does not import the program that was started: it needs rlnorm only.

    A program may then call `rlnorm.train` anywhere, not only under `if __name__ == "__main__"`.
    """

    @staticmethod
    def _Popen(process_obj):
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return ForkServerProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(ForkServerContext):
    Process = _Process


@contextmanager
def _pool(wanted: _Pool) -> Iterator[ProcessPool]:
    """Processes forked from a server that has imported everything but run nothing."""
    own = _Context()
    own.set_forkserver_preload([__name__, *wanted.modules])
    # Ctrl-C reaches the whole process group; only this process acts on it, and ends the others.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    # pebble's annotation knows only the plain contexts.
    pool = ProcessPool(wanted.processes, wanted.units_each, initializer=_begin, context=own)  # pyright: ignore[reportArgumentType]
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def _begin() -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def unfinished(units: Iterable[Unit], store: Store) -> list[Unit]:
    """The units that still have to be done."""
    return [unit for unit in units if not store.finished(unit)]


def complete(units: Iterable[Unit], store: Store, jobs: int, console: Console) -> None:
    """Do every unit that is not finished. Raises UnitsFailed after all others are done."""
    missing = unfinished(units, store)
    with Bars(console, missing, store) as bars:
        failed = run(missing, store, jobs, bars)
    if failed:
        raise UnitsFailed([f"{unit.label}: {reason}" for unit, reason in failed.items()])
