"""The append-only store: one file of JSON lines per unit of work (`rows.py` has the format).

    DIR/units/<id>.jsonl             a finished unit
    DIR/units/<id>.jsonl.*.partial   the same while it is being written
    DIR/units/<id>.lock              held by the process that writes it: no two processes do one unit
    DIR/units/<id>.error             the traceback of the last failure
    DIR/units/<id>.*.damaged         what was set aside because it is not as it was written

A unit's file appears under its own name only when it is complete, in one step; what was interrupted is done again
whole. What is there is read whole and summed once by each process before anything is made of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rlnorm.files import held, holder, replacing, set_aside
from rlnorm.study.claim import Record
from rlnorm.study.plan.unit import Unit, question_of
from rlnorm.study.run import rows
from rlnorm.study.run.rows import Damaged, Rows


class Store:
    """The units under one output folder.

    With `any_version` a unit is also found where other versions of the code or the libraries made it: to show again
    what was computed, never to compute on.

    damaged  files that are not as they were written, with the reason; never read, see `set_aside`
    """

    def __init__(self, directory: Path, any_version: bool = False):
        self.directory = directory
        self.damaged: dict[Path, str] = {}
        self._read: dict[str, Rows] = {}
        self._whole: set[str] = set()
        self._read_already: dict[str, Rows] = {}
        self._older: dict[str, Path] = {}
        if any_version:
            for path in sorted(self.files(), key=lambda path: path.lstat().st_mtime):
                if self._is_whole(path):
                    self._older[self._question(path)] = path
            self._older.pop("", None)

    @property
    def units(self) -> Path:
        """The folder of finished units."""
        return self.directory / "units"

    def files(self) -> list[Path]:
        """The file of every finished unit, whatever is in it."""
        return sorted(self.units.glob("*.jsonl"))

    def path(self, unit: Unit) -> Path:
        """Where the finished unit is, or will be."""
        own = self._own(unit)
        return own if self._is_whole(own) else self._older.get(unit.question, own)

    def finished(self, unit: Unit) -> bool:
        """Whether the unit is complete and as it was written."""
        return self._is_whole(self.path(unit))

    def _own(self, unit: Unit, ending: str = "jsonl") -> Path:
        return self.units / f"{unit.id}.{ending}"

    def _is_whole(self, path: Path) -> bool:
        """Whether a unit's file is there and sound; what is found to be sound once is not read again."""
        if path in self.damaged:
            return False
        if path.name not in self._whole:
            try:
                found = rows.checked(path)
            except FileNotFoundError:
                return False
            except Damaged as error:
                self.damaged[path] = str(error)
                return False
            self._whole.add(path.name)
            if found:
                self._read_already[path.name] = found
        return True

    def _question(self, path: Path) -> str:
        try:
            return question_of(rows.header(path))
        except (KeyError, TypeError, ValueError):
            self.damaged[path] = "its header lacks what rlnorm writes"
            return ""

    def set_aside(self) -> Iterator[str]:
        """Rename what is damaged, so that its unit is done again -> one sentence for each file."""
        while self.damaged:
            path, why = self.damaged.popitem()
            with suppress(FileNotFoundError):  # another process was quicker
                aside = set_aside(path).name
                yield f"{str(path)!r} is damaged ({why}): it is now {aside!r}, and its unit is done again."

    def left_out(self) -> Iterator[str]:
        """One sentence for each damaged file, all left where they are."""
        for path, why in self.damaged.items():
            yield f"{str(path)!r} is damaged ({why}) and left out; `rlnorm run` does its unit again."

    def records_so_far(self, units: Iterable[Unit]) -> dict[Unit, int]:
        """How many records processes that are at work on these units have written already."""
        counts = dict.fromkeys(units, 0)
        partials = self._partials() if counts else {}
        for unit in counts:
            with suppress(FileNotFoundError):  # it has just been finished
                if newest := _newest(partials.get(unit.id, ())):
                    counts[unit] = max(0, newest.read_bytes().count(b"\n") - 1)
        return counts

    def partial(self, unit: Unit) -> Path | None:
        """The file that a process at work on the unit writes to; None where there is none."""
        with suppress(FileNotFoundError):  # it has just been finished
            return _newest(self._partials().get(unit.id, ()))
        return None

    def _partials(self) -> dict[str, list[Path]]:
        """id of a unit -> the files that processes write for it, or wrote; the folder is listed once for all units."""
        found = dict[str, list[Path]]()
        with suppress(OSError):  # nothing was ever written here, or the folder is gone
            for name in os.listdir(self.units):
                if name.endswith(".partial"):
                    found.setdefault(name.partition(".")[0], []).append(self.units / name)
        return found

    def write(
        self,
        unit: Unit,
        records: Iterable[Record],
        clock: Callable[[], float],
        memory: Callable[[], int] | None = None,
    ) -> None:
        """Write the unit's records as they come, one write per line; complete or not there.

        `clock` tells seconds, `memory` the most bytes that the process has had. Raises Held while another process
        writes the same unit.
        """
        with held(self._own(unit, "lock")):
            with replacing(self._own(unit)) as partial, partial.open("w", buffering=1, newline="\n") as file:
                file.writelines(rows.lines(unit.header(), records, clock, memory))
            self._own(unit, "error").unlink(missing_ok=True)

    def holder(self, unit: Unit) -> str | None:
        """Which process is at work on the unit, since when; None where none is."""
        return _holder(self._own(unit, "lock"))

    def keep_error(self, unit: Unit, text: str) -> Path | None:
        """Keep the traceback of a failed unit -> its file; None where it cannot be written."""
        path = self._own(unit, "error")
        with suppress(OSError):
            with replacing(path) as partial:
                partial.write_text(f"{unit.label}\n\n{text}", encoding="utf-8", errors="backslashreplace")
            return path
        return None

    def read(self, unit: Unit) -> Rows:
        """The records of a finished unit. Raises FileNotFoundError if it is not finished."""
        found = self.find(unit)
        if found is None:
            raise FileNotFoundError(f"unit {unit.id} ({unit.label}) is not finished in {str(self.directory)!r}.")
        return found

    def find(self, unit: Unit) -> Rows | None:
        """The rows of a finished unit; None where it is not finished."""
        if unit.id not in self._read:
            path = self.path(unit)
            if not self._is_whole(path):
                return None
            try:
                self._read[unit.id] = self._read_already.pop(path.name, None) or rows.read(path)
            except Damaged as error:
                self.damaged[path] = str(error)
                return None
        return self._read[unit.id]

    def records(self, unit: Unit) -> Sequence[Mapping[str, Any]] | None:
        """The records of a finished unit in order; None where it is not finished."""
        found = self.find(unit)
        return None if found is None else found.records

    def last_record(self, unit: Unit) -> Mapping[str, Any]:
        """The last record of a finished unit, of which no more is kept in memory; empty where there is none."""
        with suppress(FileNotFoundError):
            return rows.last(self.path(unit)) if self.finished(unit) else {}
        return {}

    def clear_partial(self) -> None:
        """Remove the partial files of processes that are gone; those units are done again whole."""
        for part in self.units.glob("*.jsonl.*.partial"):
            if _holder(part.with_name(f"{part.name.partition('.')[0]}.lock")) is None:
                with suppress(OSError):
                    part.unlink()
        for lock in self.units.glob("*.lock"):
            _holder(lock)


def _newest(files: Iterable[Path]) -> Path | None:
    """An attempt that was killed leaves its file beside that of the next. Raises FileNotFoundError if one is gone."""
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def _holder(lock: Path) -> str | None:
    """As `holder`; None where locks cannot be removed: writing the unit will tell why."""
    with suppress(OSError):
        return holder(lock)
    return None
