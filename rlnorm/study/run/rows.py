"""A unit's file: JSON lines between a header and an end, with a sum over every byte.

    {"unit": ..., ...}                                                      the header (`Unit.header`)
    {"step": 1, ...}                                                        the records, in order
    {"end": true, "seconds": 2.5, "records": 1, "sha256": "..."}            the sum of all that stands before its field

The end also holds "memory": the most bytes that the process had, where that is known.

Files of rlnorm 0.1 before the sum end in {"end": true, "seconds": ...}, with these two fields alone. They are read, so
that hours of training need not be done again; of them only what has to be there is checked.
JSON has no NaN: non-finite numbers are written as null and read as NaN.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rlnorm.study.claim import Record
from rlnorm.study.claim.scored import Recorded

SUM = b',"sha256":"'
LONGEST_END = 300


class Damaged(ValueError):
    """A unit's file is not as it was written; the message says in what."""


@dataclass(frozen=True)
class Rows:
    """What a finished unit left: its header, its records in order, and the seconds it took."""

    header: Mapping[str, Any]
    records: Recorded
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


def lines(
    header: Mapping[str, Any],
    records: Iterable[Record],
    clock: Callable[[], float],
    memory: Callable[[], int] | None = None,
) -> Iterator[str]:
    """The lines of a unit's file, as its records come."""
    summed, begin, count = hashlib.sha256(), clock(), 0

    def added(text: str) -> str:
        summed.update(text.encode())
        return text

    yield added(line(header))
    for record in records:
        yield added(line(record))
        count += 1
    last = {"end": True, "seconds": round(clock() - begin, 3), "records": count}
    end = added(line(last | ({"memory": memory()} if memory else {})).removesuffix("}\n"))
    yield f'{end}{SUM.decode()}{summed.hexdigest()}"}}\n'


def read(path: Path) -> Rows:
    """The rows in a unit's file. Raises Damaged, and FileNotFoundError where there is none."""
    content, rows = _opened(path)
    if rows is None:
        header, records, end = _parsed(content)
        rows = Rows(header, records, end["seconds"])
    return rows


def checked(path: Path) -> Rows | None:
    """Raises as `read` does where not all of a unit's file is as it was written.

    -> its rows where they had to be read for it, in a file without a sum; else None.
    """
    return _opened(path)[1]


def header(path: Path) -> Mapping[str, Any]:
    """The first line of a sound file."""
    with path.open(encoding="utf-8") as file:
        return json.loads(file.readline())


def last(path: Path) -> Mapping[str, Any]:
    """The last record of a sound file; empty where it has none."""
    found = json.loads(path.read_bytes()[:-1].rsplit(b"\n", 2)[-2])
    return found if "step" in found else {}


def memory(path: Path) -> int:
    """The most bytes that the process of a sound file's unit had; 0 where it is not known."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_END))
        return json.loads(file.read().splitlines()[-1]).get("memory", 0)


def _opened(path: Path) -> tuple[bytes, Rows | None]:
    """The content of a unit's file, if all of it is as it was written, and what `checked` gives."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from None
    if not content.endswith(b"}\n"):
        raise Damaged("it is cut off" if content else "it is empty")
    summed, found, rest = content.rpartition(SUM)
    if found and rest != f'{hashlib.sha256(summed).hexdigest()}"}}\n'.encode():
        raise Damaged("its sum is another")
    rows = None if found else _without_sum(content)
    head, count = (rows.header, len(rows.records)) if rows else _ends(content)
    if head.get("unit") != path.name.partition(".")[0]:
        raise Damaged(f"it holds unit {head.get('unit')}")
    there = content.count(b"\n") - 2
    if there != count:
        raise Damaged(f"it holds {there} records of {count}")
    return content, rows


def _parsed(content: bytes) -> tuple[Mapping[str, Any], Recorded, Mapping[str, Any]]:
    """Header, records and end; every line is a JSON object."""
    lines = content.splitlines()
    try:
        # As one list: line by line it takes twice as long, and every record has keys of its own in memory.
        found = json.loads(b"[" + b",".join(lines) + b"]")
        if len(found) != len(lines) or not all(isinstance(each, dict) for each in found):
            raise ValueError("a line holds less or more than an object")
        header, *records, end = found
        return header, Recorded(records), end
    except (ValueError, RecursionError) as error:
        raise Damaged("a line is no record") from error


def _ends(content: bytes) -> tuple[Mapping[str, Any], int]:
    """Header of a file whose sum is right, and how many records its end tells: JSON objects, if it is ours."""
    first, last = content.partition(b"\n")[0], content[:-1].rpartition(b"\n")[2]
    try:
        header, end = json.loads(first), json.loads(last)
        float(end["seconds"])
        return {**header}, end["records"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged("it is no file of rlnorm's") from error


def _without_sum(content: bytes) -> Rows:
    """The rows of a file from before the sum; every line is a JSON object, and steps increase."""
    header, records, end = _parsed(content)
    try:
        steps = [float(record["step"]) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged("a line is no record") from error
    if end.keys() != {"end", "seconds"} or not isinstance(end["seconds"], float | int):
        raise Damaged("it has no end")
    if b"\r" in content or any(later <= earlier for earlier, later in pairwise(steps)):
        raise Damaged("its records are not in order")
    return Rows(header, records, end["seconds"])


def has_sum(path: Path) -> bool:
    """Whether a unit's file carries a sum."""
    return SUM in path.read_bytes()[-200:]
