"""What a machine of a cluster does with a unit: it sees that its rows would be ours, and sends its records.

What is sent is one of: a Chunk; an Outcome, where the unit's own code failed; words, why this machine refuses the unit.
"""

import os
import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rlnorm import compiling
from rlnorm.study.claim import Record
from rlnorm.study.plan import Unit
from rlnorm.study.plan.sources import package_folder
from rlnorm.study.run.shipping import found_in
from rlnorm.study.run.worker import Outcome, failure, peak_memory, records

EVERY = 0.25
"""Seconds between two chunks at least."""


class Chunk(NamedTuple):
    """Records of a unit in order, the seconds since it began, the memory of its process, and whether it is done."""

    records: Sequence[Record]
    seconds: float
    memory: int
    last: bool = False


def sent(packed: bytes, expected: Mapping[str, Any]) -> Iterator[Chunk | Outcome | str]:
    """Do the unit in `packed`, whose header is `expected` where it was planned. The first chunk says that it begins."""
    torch.set_num_threads(1)
    unit = found_in(Path.cwd(), pickle.loads(packed))
    beside = {str(path.parent) for path in unit.files if not path.is_relative_to(package_folder())}
    sys.path += sorted(beside - {*sys.path})  # where files that were given import from
    if wrong := differences(unit, expected):
        yield "; ".join(wrong)
        return
    _forget_peak()
    begin = last = time.monotonic()
    yield Chunk((), 0.0, 0)
    waiting = list[Record]()
    try:
        for record in records(unit):
            waiting.append(record)
            now = time.monotonic()
            if now - last >= EVERY:
                yield Chunk(waiting, now - begin, peak_memory())
                waiting, last = [], now
    except GeneratorExit:
        raise
    except BaseException as error:
        yield failure(error)
    else:
        yield Chunk(waiting, time.monotonic() - begin, peak_memory(), last=True)


def differences(unit: Unit, expected: Mapping[str, Any]) -> list[str]:
    """In what the rows of this machine would differ from those of the one that plans; empty: in nothing."""
    own: dict[str, Any] = {**unit.header()}
    theirs = expected["versions"]
    found = [
        f"it has {name} {version or 'not at all'}, and {theirs[name]} is expected"
        for name, version in own["versions"].items()
        if version != theirs[name]
    ]
    if own["sources"] != expected["sources"]:
        found.append("it has another version of the code that a unit runs, rlnorm's or a file's that was given")
    if own.get("environment") != expected.get("environment"):
        found.append(f"it has another version of the environment {unit.settings['env']!r}")
    if unit.settings.get("compile") and not compiling.available():
        found.append("it has no C++ compiler, which compiled units need")
    return found if found or own["unit"] == expected["unit"] else ["it would not do the unit that was planned"]


def _forget_peak() -> None:
    """Let the most memory be that of what follows: a process does one unit after the other."""
    with suppress(OSError):
        fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(fd, b"5")
        finally:
            os.close(fd)
