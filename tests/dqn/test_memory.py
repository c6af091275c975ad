import ctypes
import platform
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rlnorm.dqn import memory
from rlnorm.dqn.memory import Heap, malloc_trim
from tests.dqn.watching import run

GLIBC = platform.libc_ver()[0] == "glibc"


def resident() -> float:
    """Bytes of this process in memory, where Linux says so."""
    table = Path("/proc/self/statm")
    return 4096.0 * int(table.read_text().split()[1]) if table.exists() else 0.0


def test_what_is_free_between_what_is_not_goes_back(monkeypatch: pytest.MonkeyPatch):
    """A hundred megabytes in blocks of 16 kB, of which one in twenty stays."""
    monkeypatch.setattr(memory, "SECONDS", 0)
    blocks = [np.ones(2_000) for _ in range(6_000)]
    kept = blocks[::20]
    before = resident()
    del blocks
    Heap().give_back()
    assert (before - resident() > 50e6) == GLIBC
    assert all((block == 1).all() for block in kept)


def test_a_run_does_so_now_and_then(monkeypatch: pytest.MonkeyPatch):
    trims, seconds = list[float](), iter(range(1000))
    monkeypatch.setattr(memory, "malloc_trim", lambda: lambda _: trims.append(now[0]))
    now = [0.0]

    def clock() -> float:
        now[0] = float(next(seconds))
        return now[0]

    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=clock))
    run(steps=37, starts=20)  # a record at every step, and a second for each
    assert trims == [5, 10, 15, 20, 25, 30, 35]


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    malloc_trim.cache_clear()
    assert malloc_trim()(0) is None
    malloc_trim.cache_clear()
