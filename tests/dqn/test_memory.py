import platform
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rlnorm.dqn import memory
from rlnorm.dqn.memory import Heap, glibc
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
    called = list[str]()
    now = [0.0]

    def watched(name: str):
        called.append(name)
        return lambda *_: trims.append(now[0]) if name == "malloc_trim" else None

    monkeypatch.setattr(memory, "glibc", watched)

    def clock() -> float:
        now[0] = float(next(seconds))
        return now[0]

    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=clock))
    run(steps=37, starts=20)  # a record at every step, and a second for each
    assert trims == [5, 10, 15, 20, 25, 30, 35]
    assert called[:3] == ["mallopt", "mallopt", "malloc_trim"]


@pytest.mark.parametrize("name", ["mallopt", "malloc_trim"])
def test_another_library_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert glibc.__wrapped__(name)(0, 0) is None
