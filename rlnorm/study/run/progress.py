"""Shows how the work goes: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from rlnorm.study.claim.engines import DQN_ENGINES, TRAINING
from rlnorm.study.plan import Unit
from rlnorm.study.run.store import Store

Ending = Literal["finished", "failed", "died, to be begun anew"]
TELLS = 5.0  # seconds of work before a time to go is more than a guess
START = 400_000  # what DQN of 16 agents does in a second, and about as long as the smallest units take


class Watcher(Protocol):
    """Is told how the work goes."""

    def running(self, records: Mapping[Unit, int]) -> None:
        """How many records each unit at work has written so far; told twice a second."""
        ...

    def ended(self, unit: Unit, how: Ending) -> None:
        """A unit ended."""
        ...

    def note(self, sentence: str) -> None:
        """Something that whoever waits should know."""
        ...


class Watchers:
    """Tells several watchers, in order."""

    def __init__(self, *watchers: Watcher):
        self._watchers = watchers

    def running(self, records: Mapping[Unit, int]) -> None:
        """See `Watcher`."""
        for each in self._watchers:
            each.running(records)

    def ended(self, unit: Unit, how: Ending) -> None:
        """See `Watcher`."""
        for each in self._watchers:
            each.ended(unit, how)

    def note(self, sentence: str) -> None:
        """See `Watcher`."""
        for each in self._watchers:
            each.note(sentence)


def weight(unit: Unit) -> float:
    """Roughly how long a unit takes, in updates of one small network: a step of DQN counts for ten."""
    return START + unit.steps * max(len(unit.seeds), 1) * (10 if unit.engine in DQN_ENGINES else 1)


class Bars:
    """Progress as bars on a terminal, as plain lines elsewhere.

    units   what is to be done; their own speed tells the time to go
    store   where diverged runs are read from; None: they are not counted
    """

    def __init__(
        self,
        console: Console,
        units: Iterable[Unit],
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._console, self._store, self._clock, self._plain = console, store, clock, not console.is_terminal
        self._left = {unit: weight(unit) for unit in units}
        self._count, self._whole, self._done = len(self._left), sum(self._left.values()), 0.0
        self._progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[done]:>5}"),
            console=console,
            disable=self._plain,
            transient=True,
            expand=True,
        )
        self._tasks: dict[Unit, TaskID] = {}
        self._part: dict[Unit, float] = {}
        self._failed = self._diverged = 0

    def __enter__(self) -> "Bars":
        self._begin = self._clock()
        self._progress.start()
        self._overall = self._progress.add_task(self._status(), total=self._count, done="")
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def ended(self, unit: Unit, how: Ending) -> None:
        """See `Watcher`."""
        self._part.pop(unit, None)
        if how in ("finished", "failed"):
            self._done += self._left.pop(unit, 0.0)
        self._failed += how == "failed"
        self._diverged += self._diverged_in(unit) if how == "finished" else 0
        if self._plain:
            counts = f"{self._settled}/{self._count}"
            text = f"[{counts}] {how}: {unit.label}{'; ' if self._more() else ''}{', '.join(self._more())}"
            self._console.print(text, markup=False, soft_wrap=True)
        elif how != "finished":
            self._console.print(f"{how}: {unit.label}", markup=False)
        self._show()

    def note(self, sentence: str) -> None:
        """See `Watcher`."""
        self._console.print(sentence, style="yellow", markup=False, soft_wrap=True)

    def running(self, records: Mapping[Unit, int]) -> None:
        """See `Watcher`."""
        self._part = {unit: min(count / unit.records, 1.0) for unit, count in records.items()}
        for unit in [unit for unit in self._tasks if unit not in records]:
            self._progress.remove_task(self._tasks.pop(unit))
        for unit, count in records.items():
            if unit not in self._tasks:
                self._tasks[unit] = self._progress.add_task(f"  {short(unit)}", total=unit.records, done="")
            compiles = count == 0 and unit.settings.get("compile")
            done = "compiles" if compiles else f"{min(100 * count // unit.records, 100)} %"
            self._progress.update(self._tasks[unit], completed=min(count, unit.records), done=done)
        self._show()

    def to_go(self) -> float | None:
        """Seconds to go at the pace so far; None before there is one."""
        done = self._done + sum(self._left.get(unit, 0.0) * part for unit, part in self._part.items())
        elapsed = self._clock() - self._begin
        left = self._whole - done
        if left <= 0:
            return 0.0
        return elapsed * left / done if done > 0 and elapsed >= TELLS else None

    @property
    def _settled(self) -> int:
        """How many units are finished or failed."""
        return self._count - len(self._left)

    def _more(self) -> list[str]:
        """Time to go, failed units, diverged runs: what there is of them."""
        seconds = self.to_go()
        found = [f"{clock_time(seconds)} to go"] if seconds else []
        found += [f"{self._failed} failed"] if self._failed else []
        return [*found, f"{self._diverged} runs diverged"] if self._diverged else found

    def _status(self) -> str:
        return ", ".join([f"{self._settled} of {self._count} units", *self._more()])

    def _show(self) -> None:
        self._progress.update(self._overall, completed=self._settled, description=self._status())

    def _diverged_in(self, unit: Unit) -> int:
        """How many of a finished unit's runs had diverged at its end."""
        last = self._store.last_record(unit) if self._store and unit.engine in TRAINING else {}
        return int(np.sum(last.get("diverged", 0)))


def short(unit: Unit) -> str:
    """A unit's label from its end: the arm tells units apart, the claim does not."""
    where, _, arm = unit.label.rpartition(": ")
    return f"{arm} ({where})" if where else arm


def clock_time(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
