"""Running units: each in a place of its own, as many at a time as `jobs`.

A place is a supervised process on this machine, or a task of a cluster (`cluster.py`); the rules are the same for both.

A process that dies, or records nothing for too long, fails its own unit only, and the unit is begun anew once. Ctrl-C
ends all work within seconds; what was finished stays. Exact units are shorter than the start of a process, so each
process does one after the other. Timing units run alone, after the others. Where another process is at work in the same
folder the work is shared: a unit that it has begun is waited for, not begun here.
"""

import errno
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from rlnorm.errors import ConfigError, existing
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.plan import Unit
from rlnorm.study.run.progress import Bars, Watcher, weight
from rlnorm.study.run.store import Store
from rlnorm.study.run.worker import Outcome, Place, Worker

ATTEMPTS = 2
PATIENCE = 600.0
"""Seconds without a record after which a unit is ended, where its own past does not allow it more."""
PAST = 20
"""How many times the longest time between two of its records a unit may take for the next."""
QUIET = 120.0
"""Seconds without a record after which it is said."""
BIRTHS = 5
"""Processes in a row that end before they could take a unit, after which no more are started."""
TICK = 0.5
# Importing torch's compiler takes each process longer than many a unit; imported once, it is there in all.
COMPILER = ("torch._dynamo", "torch._inductor.compile_fx")
# What is wrong with the folder then is wrong for every unit.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


class UnitsFailed(Exception):
    """Units that could not be done, one sentence each; the others are kept."""

    def __init__(self, sentences: Sequence[str]):
        super().__init__("\n".join(sentences))
        self.sentences = sentences


Start = Callable[[Path, Sequence[str]], Place]
"""Starts a place for units of a store's folder, with modules imported there beforehand."""


class _Kind(NamedTuple):
    """How many places, whether each does one unit or many, what is imported before they start, and what starts them."""

    places: int
    many_each: bool
    modules: Sequence[str]
    start: Start


def run(
    units: Sequence[Unit],
    store: Store,
    jobs: int,
    watcher: Watcher,
    patience: float = PATIENCE,
    start: Start = Worker,
) -> dict[Unit, str]:
    """Do every unit that is not finished. -> the units that failed, with the reason in a sentence.

    A unit is ended that records nothing for `patience` seconds, or for `PAST` times as long as it did before.
    Raises KeyboardInterrupt on Ctrl-C, after the processes have ended, and ConfigError where a cluster has no machine
    that would give the same rows.
    """
    store.clear_partial()
    missing = sorted(unfinished(units, store), key=weight, reverse=True)
    kinds: dict[str, list[Unit]] = {"exact": [], "training": [], "cost": []}
    for unit in missing:
        kinds["training" if unit.engine in TRAINING else unit.engine].append(unit)
    modules = COMPILER if any(unit.settings.get("compile") for unit in missing) else ()
    failed: dict[Unit, str] = {}
    try:
        for kind, batch in kinds.items():
            how = _Kind(1 if kind == "cost" else jobs, kind == "exact", modules, start)
            failed |= _Batch(batch, store, how, watcher, patience).do()
    finally:
        store.clear_partial()
    return failed


class _Batch:
    """Units of one kind, and the places where they are done."""

    def __init__(self, units: Sequence[Unit], store: Store, kind: _Kind, watcher: Watcher, patience: float):
        self.waiting, self.store, self.kind, self.watcher, self.patience = deque(units), store, kind, watcher, patience
        self.workers: list[Place] = []
        self.failed: dict[Unit, str] = {}
        self.died, self.stillborn = Counter[Unit](), 0
        self.said = set[str]()
        self.waited = 0.0

    def do(self) -> dict[Unit, str]:
        """Do them all -> those that failed, with the reason in a sentence."""
        looked = time.monotonic()
        try:
            while self.waiting or any(worker.unit for worker in self.workers):
                self._hand_out()
                if self.workers:
                    wait([each for worker in self.workers for each in worker.events()], TICK)
                else:
                    time.sleep(TICK)
                for worker in list(self.workers):
                    self._hear(worker)
                now = time.monotonic()
                if now - looked >= TICK:
                    # Time in which this process was stopped itself is nobody's silence.
                    self._look(min(now - looked, 4 * TICK))
                    looked = now
        finally:
            for worker in self.workers:
                worker.end()
        return self.failed

    def _hand_out(self) -> None:
        """Give free places the units that wait, and start as many places as are missing."""
        free = self._free(self.kind.places - sum(worker.unit is not None for worker in self.workers))
        for worker in [worker for worker in self.workers if worker.ready]:
            if free:
                self._begin(worker, free.pop(0))
        idle = sum(worker.unit is None for worker in self.workers)
        while free[idle:] and len(self.workers) < self.kind.places:
            idle += 1
            try:
                self.workers.append(self.kind.start(self.store.directory, self.kind.modules))
            except (OSError, EOFError) as error:
                self._not_born(str(error) or type(error).__name__)
                return

    def _free(self, most: int) -> list[Unit]:
        """The next units that can be begun here, at most so many: not finished or held by another process meanwhile."""
        free = list[Unit]()
        for unit in list(self.waiting):
            if len(free) == most:
                break
            if self.store.finished(unit):
                self._settle(unit)
            elif other := self.store.holder(unit):
                self._say(f"{unit.label}: at work in {other}; waiting for it.")
            else:
                free.append(unit)
        return free

    def _begin(self, worker: Place, unit: Unit) -> None:
        self.waiting.remove(unit)
        worker.begin(unit)

    def _hear(self, worker: Place) -> None:
        """What a process says, or that it is gone."""
        unit, told = worker.unit, worker.told()
        if told is not None:
            self.stillborn = 0
            if unit is not None:
                self._ended(unit, told)
                if told.how != "finished" or not self.kind.many_each:
                    self._remove(worker)
        elif (code := worker.exitcode()) is not None:
            self._gone(worker, _death(code))

    def _look(self, passed: float) -> None:
        """How far every process has got, `passed` seconds after the last look; one that does not get on is ended."""
        counts = self.store.records_so_far(unit for worker in self.workers if (unit := worker.at_work))
        for worker in list(self.workers):
            unit = worker.at_work
            worker.seen(counts.get(unit, 0) if unit else 0, passed)
            if worker.silent > QUIET and worker.at_work:
                self._say(f"{worker.at_work.label}: nothing recorded for {QUIET:.0f} s.")
            if worker.silent > max(self.patience, PAST * worker.longest):
                why = f"it recorded nothing for {worker.silent:.0f} s and was ended"
                self._gone(worker, why + ", {times}; --patience SECONDS allows more.")
        at_work = {worker.at_work: worker.count for worker in self.workers if worker.at_work}
        self.waited = 0.0 if at_work else self.waited + passed
        if self.waited > QUIET:
            self._say(f"no unit could begin for {QUIET:.0f} s: there is no free place for one.")
        self.watcher.running(at_work)

    def _remove(self, worker: Place) -> None:
        self.workers.remove(worker)
        worker.end()

    def _gone(self, worker: Place, why: str) -> None:
        """A process is lost, with its unit if it had begun one."""
        unit = worker.unit
        self._remove(worker)
        if unit is None:
            self._not_born(why.format(times="before it had begun a unit"))
        else:
            self._died(unit, why)

    def _died(self, unit: Unit, why: str) -> None:
        """A unit ended without having been done; {times} in `why` stands for how often."""
        self.died[unit] += 1
        if self.store.finished(unit):
            self._settle(unit)
        elif self.died[unit] < ATTEMPTS:
            self.waiting.append(unit)
            self.watcher.ended(unit, "died, to be begun anew")
        else:
            self._fail(unit, why.format(times=f"{ATTEMPTS} times"))

    def _not_born(self, why: str) -> None:
        """A process could not be started, or ended before it had begun a unit, which is no fault of the units."""
        self.stillborn += 1
        if self.stillborn >= BIRTHS:
            self._give_up(f"no process can be started for it: {why.rstrip('.')}.")

    def _give_up(self, why: str) -> None:
        """Begin no more units."""
        while self.waiting:
            self._fail(self.waiting.popleft(), why)

    def _ended(self, unit: Unit, told: Outcome) -> None:
        match told.how:
            case "held":
                self.waiting.append(unit)
            case "died":
                self._died(unit, told.reason)
            case "refused":
                self.waiting.append(unit)
                self._say(told.reason)
            case "refused by all":
                raise ConfigError(told.reason)
            case "unwritable":
                self._fail(unit, self._unwritable(told.reason))
                if told.errno in DISK:
                    self._give_up(f"it was not begun: {self._unwritable(told.reason)}")
            case "failed":
                kept = self.store.keep_error(unit, told.traceback)
                where = "." if kept is None else f"; the traceback is in {str(kept)!r}."
                self._fail(unit, told.reason.rstrip(".") + where)
            case _:
                self._settle(unit)

    def _unwritable(self, reason: str) -> str:
        free = shutil.disk_usage(existing(self.store.directory)).free / 1e6
        return f"its rows cannot be written to {str(self.store.directory)!r}: {reason} ({free:.0f} MB free)."

    def _settle(self, unit: Unit) -> None:
        if unit in self.waiting:
            self.waiting.remove(unit)
        self.watcher.ended(unit, "finished")

    def _fail(self, unit: Unit, reason: str) -> None:
        self.failed[unit] = reason
        self.watcher.ended(unit, "failed")

    def _say(self, sentence: str) -> None:
        if sentence not in self.said:
            self.said.add(sentence)
            self.watcher.note(sentence)


def _death(exitcode: int) -> str:
    """What became of a process that ended by itself; {times} stands for how often."""
    if exitcode >= 0:
        return f"its process ended without a result (exit code {exitcode}), {{times}}."
    name = signal.Signals(-exitcode).name
    cause = {
        "SIGKILL": "; out of memory is the usual cause",
        "SIGSEGV": "; a fault in native code is the usual cause",
        "SIGABRT": "; a fault in native code is the usual cause",
    }
    return f"its process was killed by {name}, {{times}}{cause.get(name, '')}."


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
