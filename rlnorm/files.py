"""Files written whole or not at all, and files and folders that one process has to itself for a while.

What is written here is on the disk when the call returns: the file, and its name in the folder.
"""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path


class Held(Exception):
    """Another process has the lock; the message says which, and since when."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a file to write; it takes the place of `path` where the block ends without an error.

    Names are never used twice, so that two writers do not meet in one partial file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def set_aside(path: Path) -> Path:
    """Rename what is damaged, so that another may take its place -> its new name. FileNotFoundError: it is gone."""
    names = (path.with_suffix(f".{i}.damaged") for i in count())
    aside = next(name for name in names if not os.path.lexists(name))
    return path.rename(aside)


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """The lock of a folder: no other process that asks for it gets it meanwhile."""
    directory.mkdir(parents=True, exist_ok=True)
    folder = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The lock file `path`, which goes with the process however that ends. Raises Held where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _take(path)
    try:
        os.ftruncate(file, 0)
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}, since {now}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _take(path: Path) -> int:
    """The lock file, open and locked. Raises Held."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(file, 1000, 0).decode(errors="replace")
            os.close(file)
            raise Held(who) from None
        if _is_still(path, file):
            return file
        os.close(file)


def _is_still(path: Path, file: int) -> bool:
    """Whether `path` names the open file: who had it before may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def holder(path: Path) -> str | None:
    """Who has the lock file `path`, since when; None where nobody has. A file whose process is gone is removed."""
    if not path.exists():
        return None
    try:
        file = _take(path)
    except Held as other:
        return str(other)
    path.unlink(missing_ok=True)
    os.close(file)
    return None
