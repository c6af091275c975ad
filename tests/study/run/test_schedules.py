"""Any schedule of faults over a small study ends in the same rows and the same verdicts."""

import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tiny
from fault_trial import leftovers, made, without_figures
from forked import Forked, forked
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mounted import without_privileges

from rlnorm.study.run import Store

WORK = """
def a(case):
    time.sleep(0.05)
    return 0.0

def b(case):
    time.sleep(0.02)
    return 1.0

def c(case):
    return float("nan")
"""
WORDS = ("run", "work.py", "--jobs", 2, "--out", "out")


def study(folder: Path, prepare: Callable[[], object] = without_figures) -> Forked:
    tiny.own(folder, WORK, ["a", "b", "c"], cases=8)
    return Forked(folder, *WORDS, prepare=prepare)


def told(whom: Callable[[Forked], int], *signals: signal.Signals) -> Callable[[Path, random.Random], None]:
    """Begin the study, and send one of its processes (a negative number: its whole group) signals after a while."""

    def fault(folder: Path, rng: random.Random) -> None:
        running = study(folder)
        time.sleep(rng.uniform(0, 1))
        try:
            if running.poll() is None:
                for each in signals:
                    os.kill(whom(running), each)
                running.ends()
        except (IndexError, ProcessLookupError):  # there is no such process at that moment
            pass
        finally:
            running.end()

    return fault


def killed(whom: Callable[[Forked], int]) -> Callable[[Path, random.Random], None]:
    return told(whom, signal.SIGKILL)


def stopped_with_a_worker(folder: Path, rng: random.Random) -> None:
    """Kill the main process while one of its workers is stopped."""
    running = study(folder)
    time.sleep(rng.uniform(0, 1))
    for worker in running.workers()[:1]:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGSTOP)
    with suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    running.ends()
    tiny.wait_until(lambda: not tiny.members(running.pid), 30)


def without_room(folder: Path, rng: random.Random) -> None:
    """Begin the study where no file may be longer than so many bytes, as on a disk that fills up."""
    most = rng.randrange(1, 2000)

    def prepare() -> None:
        without_figures()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    study(folder, prepare).ends()


def without_permission(folder: Path, rng: random.Random) -> None:
    """Begin the study where its folder takes no files."""
    units = folder / "out" / "units"
    units.mkdir(parents=True, exist_ok=True)
    units.chmod(0o555)

    def prepare() -> None:
        without_figures()
        without_privileges()

    study(folder, prepare).ends()
    units.chmod(0o755)


def two_at_once(folder: Path, rng: random.Random) -> None:
    """Begin the study twice at a time; one of the two is killed."""
    first, second = study(folder), study(folder)
    time.sleep(rng.uniform(0, 1))
    with suppress(ProcessLookupError):
        os.kill(rng.choice((first, second)).pid, signal.SIGKILL)
    for each in (first, second):
        each.ends()


def lose_the_folder(folder: Path, rng: random.Random) -> None:
    """Remove the folder of results while the study is at work."""
    running = study(folder)
    time.sleep(rng.uniform(0, 1))
    with suppress(FileNotFoundError):
        (folder / "out").rename(folder / f"away {rng.random()}")
    running.ends()


def on_a_unit(damage: Callable[[Path, random.Random], object]) -> Callable[[Path, random.Random], None]:
    """Damage the file of one finished unit, if there is any."""

    def fault(folder: Path, rng: random.Random) -> None:
        files = [path for path in Store(folder / "out").files() if path.is_file()]
        if files:
            damage(rng.choice(files), rng)

    return fault


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def replace_by_another(path: Path, rng: random.Random) -> None:
    others = [other for other in sorted(path.parent.glob("*.jsonl")) if other.is_file()]
    path.write_bytes(rng.choice(others).read_bytes())


def forget(folder: Path, rng: random.Random) -> None:
    for name in rng.sample(["study.json", "units/study.json", "verdicts.json"], 2):
        file = folder / "out" / name
        if file.exists():
            file.write_bytes(rng.randbytes(50))


def leave_rubbish(folder: Path, rng: random.Random) -> None:
    units = folder / "out" / "units"
    units.mkdir(parents=True, exist_ok=True)
    name = f"{rng.randbytes(10).hex()}.jsonl"
    (units / f"{name}.0.partial").write_bytes(rng.randbytes(50))
    (units / name).write_bytes(rng.randbytes(50))
    (folder / "out" / "report.html.0123abcd.partial").write_bytes(rng.randbytes(50))


FAULTS: dict[str, Callable[[Path, random.Random], None]] = {
    "a worker is killed": killed(lambda running: running.workers()[0]),
    "the server is killed": killed(lambda running: running.server()),
    "the main process is killed": killed(lambda running: running.pid),
    "the group is killed": killed(lambda running: -running.pid),
    "Ctrl-C": told(lambda running: -running.pid, signal.SIGINT),
    "SIGTERM": told(lambda running: running.pid, signal.SIGTERM),
    "a closed terminal, and SIGTERM": told(lambda running: running.pid, signal.SIGHUP, signal.SIGTERM),
    "the main process is killed, a worker stopped": stopped_with_a_worker,
    "there is no room": without_room,
    "there is no permission": without_permission,
    "there are two commands": two_at_once,
    "the folder is removed": lose_the_folder,
    "a bit flips": on_a_unit(flip),
    "a file is cut off": on_a_unit(lambda path, rng: os.truncate(path, rng.randrange(path.stat().st_size))),
    "a file is empty": on_a_unit(lambda path, rng: path.write_bytes(b"")),
    "a file has CRLF": on_a_unit(lambda path, rng: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))),
    "a file is a folder": on_a_unit(lambda path, rng: (path.unlink(), path.mkdir())),
    "a file is a circle of links": on_a_unit(lambda path, rng: (path.unlink(), path.symlink_to(path))),
    "a unit is lost": on_a_unit(lambda path, rng: path.unlink()),
    "a unit is another's": on_a_unit(replace_by_another),
    "what was asked is garbage": forget,
    "rubbish lies about": leave_rubbish,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[bytes]], Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert study(folder).ends()[0] == 0
    return made(folder)


def holds(expected: tuple[dict[str, list[bytes]], Any], schedule: list[str], seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for fault in ("the main process is killed", *schedule):
            FAULTS[fault](folder, rng)
        with forked(folder, *WORDS, prepare=without_figures) as last:
            code, out, err = last.ends()
        assert (code, err) == (0, ""), out + err
        rows, verdicts = made(folder)
        ours = {name: lines for name, lines in rows.items() if name in expected[0]}
        assert (ours, verdicts) == expected
        assert [left for left in leftovers(folder) if not left.endswith(".damaged")] == []


SCHEDULES = st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=4)
# Nothing is shrunk: a schedule takes seconds, and says by itself what it is.
QUIET = {
    "deadline": None,
    "database": None,
    "phases": (Phase.generate,),
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@settings(max_examples=4, derandomize=True, **QUIET)
@given(schedule=SCHEDULES, seed=st.integers(0, 2**32))
def test_any_schedule_ends_in_the_same_verdicts(undisturbed, schedule: list[str], seed: int):
    holds(undisturbed, schedule, seed)


@pytest.mark.nightly
@settings(max_examples=int(os.environ.get("SCHEDULES", "100")), **QUIET)
@given(schedule=SCHEDULES, seed=st.integers(0, 2**32))
def test_many_schedules_do(undisturbed, schedule: list[str], seed: int):
    holds(undisturbed, schedule, seed)
