"""The append-only store: one file of JSON lines per unit of work.

    DIR/units/<id>.jsonl      header, records, {"end": true, "seconds": ...}
    DIR/units/<id>.<pid>.partial   the same while it is being written

A unit's file appears under its own name only when it is complete, in one step, so that what is there can be trusted and
what was interrupted is done again whole. JSON has no NaN: non-finite numbers are written as null and read as NaN.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlnorm.study.claim import Record
from rlnorm.study.plan.unit import Unit, question_of


@dataclass(frozen=True)
class Rows:
    """What a finished unit left: its header, its records in order, and the seconds it took."""

    header: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    seconds: float


def _plain(value: Any) -> Any:
    """JSON-able: non-finite floats become null, tuples lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def line(value: Any) -> str:
    """One JSON line."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":")) + "\n"


def pretty(value: Any) -> str:
    """JSON for people: indented, with null for what is not finite."""
    return json.dumps(_plain(value), allow_nan=False, indent=1) + "\n"


class Store:
    """The units under one output folder.

    With `any_version` a unit is also found where other versions of the code or the libraries made it: to show again
    what was computed, never to compute on.
    """

    def __init__(self, directory: Path, any_version: bool = False):
        self.directory = directory
        self._read: dict[str, Rows] = {}
        self._whole: set[Path] = set()
        self._older: dict[str, Path] = {}
        if any_version:
            for path in sorted(self.units.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
                if self._is_whole(path):
                    with path.open(encoding="utf-8") as file:
                        self._older[question_of(json.loads(file.readline()))] = path

    @property
    def units(self) -> Path:
        """The folder of finished units."""
        return self.directory / "units"

    def path(self, unit: Unit) -> Path:
        """Where the finished unit is, or will be."""
        own = self.units / f"{unit.id}.jsonl"
        return own if self._is_whole(own) else self._older.get(unit.question, own)

    def finished(self, unit: Unit) -> bool:
        """Whether the unit is complete."""
        return self._is_whole(self.path(unit))

    def _is_whole(self, path: Path) -> bool:
        """Whether a unit's file is there and its last line says that it is the last; a torn copy is not."""
        if path not in self._whole and path.is_file() and _last_line(path).get("end"):
            self._whole.add(path)
        return path in self._whole

    def records_so_far(self, unit: Unit) -> int:
        """Records already written by a process that is at work on the unit."""
        counts = [0]
        for part in self.units.glob(f"{unit.id}.*.partial"):
            with suppress(FileNotFoundError):  # it has just been finished
                counts.append(part.read_bytes().count(b"\n") - 1)
        return max(counts)

    def write(self, unit: Unit, records: Iterable[Record], clock: Callable[[], float]) -> None:
        """Write the unit's records as they come, one write per line; complete or not there."""
        self.units.mkdir(parents=True, exist_ok=True)
        part = self.units / f"{unit.id}.{os.getpid()}.partial"
        begin = clock()
        try:
            with part.open("w", encoding="utf-8", buffering=1) as file:
                file.write(line(unit.header()))
                for record in records:
                    file.write(line(record))
                file.write(line({"end": True, "seconds": round(clock() - begin, 3)}))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.units / f"{unit.id}.jsonl")
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def read(self, unit: Unit) -> Rows:
        """The records of a finished unit. Raises FileNotFoundError if it is not finished."""
        found = self.find(unit)
        if found is None:
            raise FileNotFoundError(f"unit {unit.id} ({unit.label}) is not finished in {str(self.directory)!r}.")
        return found

    def find(self, unit: Unit) -> Rows | None:
        """The rows of a finished unit; None where it is not finished."""
        if unit.id not in self._read:
            if not self.finished(unit):
                return None
            lines = self.path(unit).read_text(encoding="utf-8").splitlines()
            header, *records, end = (json.loads(text) for text in lines)
            self._read[unit.id] = Rows(header, tuple(records), end["seconds"])
        return self._read[unit.id]

    def records(self, unit: Unit) -> Sequence[Mapping[str, Any]] | None:
        """The records of a finished unit in order; None where it is not finished."""
        found = self.find(unit)
        return None if found is None else found.records

    def clear_partial(self) -> None:
        """Remove the partial files of processes that are gone; those units are done again whole."""
        for part in self.units.glob("*.partial"):
            pid = part.suffixes[-2][1:] if len(part.suffixes) > 1 else ""
            if pid.isdecimal() and not _alive(int(pid)):
                part.unlink(missing_ok=True)


def _last_line(path: Path) -> Mapping[str, Any]:
    """The last line of a unit's file if it is whole, else nothing."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 200, 0))
        text = file.read()
    if not text.endswith(b"}\n"):
        return {}
    try:
        found = json.loads(text.splitlines()[-1])
    except ValueError:  # a line longer than what was read: a record, not the end
        return {}
    return found if isinstance(found, dict) else {}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
