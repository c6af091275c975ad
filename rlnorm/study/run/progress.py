"""Shows how the work goes: bars on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from rlnorm.study.plan import Unit

Ending = Literal["finished", "failed", "died, to be begun anew"]


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


class Bars:
    """Progress as bars on a terminal, as plain lines elsewhere."""

    def __init__(self, console: Console, total: int):
        self._console, self._total, self._plain = console, total, not console.is_terminal
        self._progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[done]:>5}"),
            TimeElapsedColumn(),
            console=console,
            disable=self._plain,
            transient=True,
            expand=True,
        )
        self._tasks: dict[Unit, TaskID] = {}
        self._settled = 0

    def __enter__(self) -> "Bars":
        self._progress.start()
        self._overall = self._progress.add_task("units of work", total=self._total, done=f"0/{self._total}")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def ended(self, unit: Unit, how: Ending) -> None:
        """See `Watcher`."""
        self._settled += how in ("finished", "failed")
        if self._plain:
            self._console.print(f"[{self._settled}/{self._total}] {how}: {unit.label}", markup=False, soft_wrap=True)
        elif how != "finished":
            self._console.print(f"{how}: {unit.label}", markup=False)
        self._progress.update(self._overall, completed=self._settled, done=f"{self._settled}/{self._total}")

    def note(self, sentence: str) -> None:
        """See `Watcher`."""
        self._console.print(sentence, style="yellow", markup=False, soft_wrap=True)

    def running(self, records: Mapping[Unit, int]) -> None:
        """See `Watcher`."""
        for unit in [unit for unit in self._tasks if unit not in records]:
            self._progress.remove_task(self._tasks.pop(unit))
        for unit, count in records.items():
            if unit not in self._tasks:
                self._tasks[unit] = self._progress.add_task(f"  {unit.label}", total=unit.records, done="")
            done = f"{min(100 * count // unit.records, 100)} %"
            self._progress.update(self._tasks[unit], completed=min(count, unit.records), done=done)
