"""The append-only store: one file of JSON lines per unit of work.

    DIR/units/<id>.jsonl      header, records, {"end": true, "seconds": ...}
    DIR/units/<id>.<pid>.partial   the same while it is being written

A unit's file appears under its own name only when it is complete, in one step, so that what is there can be trusted and
what was interrupted is done again whole. JSON has no NaN: non-finite numbers are written as null and read as NaN.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlnorm.study.plan import Unit, digest

Record = Mapping[str, object]


@dataclass(frozen=True)
class Rows:
    """What a finished unit left: its records in order, and the seconds it took."""

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


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.partial")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


class Store:
    """The units under one output folder.

    With `any_version` a unit is also found where other versions of the code or the libraries made it: to show again
    what was computed, never to compute on.
    """

    def __init__(self, directory: Path, any_version: bool = False):
        self.directory = directory
        self._read: dict[str, Rows] = {}
        self._older: dict[str, Path] = {}
        if any_version:
            for path in sorted(self.units.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
                with path.open(encoding="utf-8") as file:
                    self._older[json.loads(file.readline())["question"]] = path

    @property
    def units(self) -> Path:
        """The folder of finished units."""
        return self.directory / "units"

    def path(self, unit: Unit) -> Path:
        """Where the finished unit is, or will be."""
        own = self.units / f"{unit.id}.jsonl"
        return own if own.exists() else self._older.get(digest(unit.question), own)

    def finished(self, unit: Unit) -> bool:
        """Whether the unit is complete."""
        return self.path(unit).exists()

    def records_so_far(self, unit: Unit) -> int:
        """Records already written by a process that is at work on the unit."""
        parts = sorted(self.units.glob(f"{unit.id}.*.partial"), key=lambda p: p.stat().st_mtime)
        return max(parts[-1].read_bytes().count(b"\n") - 1, 0) if parts else 0

    def write(self, unit: Unit, records: Iterable[Record], clock: Callable[[], float]) -> None:
        """Write the unit's records as they come, one write per line; complete or not there."""
        self.units.mkdir(parents=True, exist_ok=True)
        part = self.units / f"{unit.id}.{os.getpid()}.partial"
        begin = clock()
        with part.open("w", encoding="utf-8", buffering=1) as file:
            file.write(line(unit.header()))
            for record in records:
                file.write(line(record))
            file.write(line({"end": True, "seconds": round(clock() - begin, 3)}))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.units / f"{unit.id}.jsonl")

    def read(self, unit: Unit) -> Rows:
        """The records of a finished unit. Raises FileNotFoundError if it is not finished."""
        if unit.id not in self._read:
            _, *records, end = (json.loads(text) for text in self.path(unit).read_text(encoding="utf-8").splitlines())
            self._read[unit.id] = Rows(tuple(records), end["seconds"])
        return self._read[unit.id]

    def clear_partial(self, units: Iterable[Unit]) -> None:
        """Remove what processes that are no more left of `units`; they are done again whole."""
        for unit in units:
            for part in self.units.glob(f"{unit.id}.*.partial"):
                if not _alive(int(part.suffixes[-2][1:])):
                    part.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
