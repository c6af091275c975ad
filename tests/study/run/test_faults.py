"""Whatever may happen to a study: real signals to real processes, real files. It ends or continues with the same rows.

docs/reliability.md lists the faults with their tests, and what `fault_trial.py` counted.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import tiny
import torch
from forked import Forked, forked

from rlnorm import files
from rlnorm.study.run import Store

# `slow` takes a minute, or no time where there is a file "go".
WORK = """
def slow(case):
    (HERE / "at work").touch()
    if not (HERE / "go").exists():
        time.sleep(0.05)
    return 0.0

def quick(case):
    return 0.0
"""
WORDS = ("run", "work.py", "--jobs", 2, "--out", "out")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Forked]:
    """A study at work whose quick part has finished and whose slow part never does."""
    tiny.own(tmp_path, WORK, ["quick", "slow"], cases=1200)
    with forked(tmp_path, *WORDS) as running:
        tiny.wait_until(lambda: (tmp_path / "at work").exists() and Store(tmp_path / "out").files(), 60)
        yield running


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Store(folder / "out").files()}


def nobody_is_left(group: int) -> None:
    tiny.wait_until(lambda: not tiny.members(group), 20)


def continues(folder: Path) -> None:
    """The same command, the work now short: what was finished is not done again, and nothing else is left."""
    before = finished(folder)
    (folder / "go").touch()
    with forked(folder, *WORDS) as again:
        code, out, err = again.ends()
        assert (code, err) == (0, "")
        assert out.count("] finished: ") == 2 - len(before)
        nobody_is_left(again.pid)
    after = finished(folder)
    assert len(after) == 2
    assert before.items() <= after.items()
    left = {path.suffix for path in (folder / "out" / "units").iterdir()}
    assert left == {".jsonl", ".json"}
    rows = {row["part"]: row["verdict"] for row in json.loads((folder / "out" / "verdicts.json").read_text())}
    assert rows == {"overall": "supported", "quick": "supported", "slow": "supported"}


class TestToldToEnd:
    CODES = ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129))

    @pytest.mark.parametrize("number", [number for number, _ in CODES])
    @pytest.mark.parametrize("whom", ["the group", "the main process alone"])
    def test_keeps_what_is_finished_and_says_how_to_continue(
        self, tmp_path: Path, study: Forked, number: signal.Signals, whom: str
    ):
        (os.killpg if whom == "the group" else os.kill)(study.pid, number)
        code, out, err = study.ends(20)
        assert code == dict(self.CODES)[number]
        assert err == (
            "rlnorm: interrupted, 1 of 2 units finished and kept. To continue:\n"
            "  rlnorm run work.py --jobs 2 --out out\n"
        )
        assert "Traceback" not in out
        nobody_is_left(study.pid)
        assert not (tmp_path / "out" / "verdicts.json").exists()
        assert {path.suffix for path in (tmp_path / "out" / "units").iterdir()} == {".jsonl", ".json"}
        if number == signal.SIGTERM:
            continues(tmp_path)

    def test_twice_leaves_at_once(self, tmp_path: Path, study: Forked):
        """A process that is stopped cannot end in an orderly way, so that the first time takes its while."""
        tiny.wait_until(lambda: len(study.workers()) == 2)
        os.kill(study.pid, signal.SIGSTOP)
        os.kill(study.pid, signal.SIGINT)
        os.kill(study.pid, signal.SIGTERM)
        os.kill(study.pid, signal.SIGCONT)
        code, out, err = study.ends(20)
        assert code in (130, 143)
        assert "Traceback" not in out + err
        nobody_is_left(study.pid)
        continues(tmp_path)


def at_work(folder: Path) -> int:
    """The process that does the slow part, from what its lock says."""
    store, slow = Store(folder / "out"), tiny.planned(folder / "work.py")[1]
    tiny.wait_until(lambda: "process" in str(store.holder(slow)), 20)
    return int(str(store.holder(slow)).split()[1])


class TestKilled:
    @pytest.mark.parametrize("whom", ["the worker", "the server"])
    def test_what_had_begun_is_begun_anew(self, tmp_path: Path, study: Forked, whom: str):
        os.kill(at_work(tmp_path) if whom == "the worker" else study.server(), signal.SIGKILL)
        tiny.wait_until(lambda: "died, to be begun anew: work, slow" in study.files[0].read_text(), 20)
        (tmp_path / "go").touch()
        code, out, err = study.ends()
        assert (code, err) == (0, "")
        assert out.count("died") == 1
        continues(tmp_path)

    @pytest.mark.parametrize("whom", ["the main process", "the group", "the main process, a worker stopped before"])
    def test_what_ran_ends_and_the_same_command_continues(self, tmp_path: Path, study: Forked, whom: str):
        if "stopped" in whom:
            os.kill(at_work(tmp_path), signal.SIGSTOP)
        (os.killpg if whom == "the group" else os.kill)(study.pid, signal.SIGKILL)
        assert study.ends(20)[0] == -signal.SIGKILL
        nobody_is_left(study.pid)
        assert len(list((tmp_path / "out" / "units").glob("*.partial"))) == 1
        continues(tmp_path)

    @pytest.mark.parametrize("births", [3, 99])
    def test_at_birth_is_no_fault_of_a_unit(self, tmp_path: Path, births: int):
        """Where it goes on for ever that is said, and the study ends."""
        tiny.own(tmp_path, WORK, ["quick"])

        def fatal(_: int) -> None:
            with (tmp_path / "births").open("a") as file:
                file.write("+")
            if len((tmp_path / "births").read_text()) <= births:
                os.kill(os.getpid(), signal.SIGKILL)

        with forked(tmp_path, *WORDS, prepare=lambda: setattr(torch, "set_num_threads", fatal)) as study:
            code, out, err = study.ends()
        assert "died" not in out
        if births == 3:
            assert (code, err) == (0, "")
        else:
            assert code == 1
            assert "no process can be started for it: its process was killed by SIGKILL, before it had begun" in err
            assert len((tmp_path / "births").read_text()) == 5


ENDLESS = """
def sleeps(case):
    time.sleep(600)

def spins(case):
    while True:
        pass

def stops_itself(case):
    if not (HERE / "stopped").exists():
        (HERE / "stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return 0.0

def fine(case):
    return 0.0
"""


def test_a_unit_that_records_nothing_is_ended_and_the_others_finish(tmp_path: Path):
    tiny.own(tmp_path, ENDLESS, ["sleeps", "spins", "stops_itself", "fine"])
    with forked(tmp_path, "run", "work.py", "--jobs", 4, "--out", "out", "--patience", 4) as study:
        code, out, err = study.ends()
        nobody_is_left(study.pid)
    assert code == 1
    for name in ("sleeps", "spins"):
        assert f"rlnorm: failed: work, {name}: 2 cases: it recorded nothing for " in err
    assert err.count(" s and was ended, 2 times; --patience SECONDS allows more.") == 2
    assert "2 units failed; the others are kept." in err
    assert "died, to be begun anew: work, stops_itself" in out
    rows = {row["part"]: row["verdict"] for row in json.loads((tmp_path / "out" / "verdicts.json").read_text())}
    assert (rows["fine"], rows["stops_itself"], rows["sleeps"]) == ("supported", "supported", "insufficient")


def test_a_unit_may_take_longer_where_its_own_past_allows_it(tmp_path: Path):
    """The longest time between two records, times twenty, is more than the patience given."""
    tiny.own(tmp_path, "def slows(case):\n    time.sleep(0.7 + 2.5 * (HERE / 'x').exists())\n"
             "    (HERE / 'x').touch()\n    return 0.0", ["slows"])  # fmt: skip
    with forked(tmp_path, *WORDS, "--patience", 1.5) as study:
        code, out, err = study.ends()
    assert (code, err) == (0, "")
    assert "died" not in out


class TestDisk:
    def test_that_is_full_begins_no_more_units_and_says_where(self, tmp_path: Path):
        """The kernel says so: the unit is written to /dev/full."""
        tiny.own(tmp_path, "def one(case):\n    return 0.0\ndef two(case):\n    return 1.0", ["one", "two"])
        (unit, other) = tiny.planned(tmp_path / "work.py")
        units = tmp_path / "out" / "units"
        units.mkdir(parents=True)

        def full(_: int) -> str:
            if not os.path.lexists(partial_file):
                partial_file.symlink_to("/dev/full")
            return "full"

        partial_file = units / f"{unit.id}.jsonl.full.partial"
        prepare = partial(setattr, files.secrets, "token_hex", full)
        with forked(tmp_path, "run", "work.py", "--jobs", 1, "--out", "out", prepare=prepare) as study:
            code, _, err = study.ends()
        assert code == 1
        where = "its rows cannot be written to 'out': No space left on device ("
        assert f"rlnorm: failed: work, one: 2 cases: {where}" in err
        assert f"rlnorm: failed: work, two: 2 cases: it was not begun: {where}" in err
        assert err.count(" MB free).") == 2
        assert not Store(tmp_path / "out").finished(other)
        with forked(tmp_path, *WORDS) as again:
            assert again.ends()[0] == 0


def test_two_commands_on_one_folder_share_the_work(tmp_path: Path, study: Forked):
    with forked(tmp_path, *WORDS) as second:
        tiny.wait_until(lambda: "at work in process" in second.files[0].read_text(), 30)
        assert "work, slow: 1200 cases: at work in process" in second.files[0].read_text()
        (tmp_path / "go").touch()
        for each in (study, second):
            code, _, err = each.ends()
            assert (code, err) == (0, "")
    continues(tmp_path)


def test_a_folder_that_is_removed_meanwhile_is_said_and_the_same_command_does_all_again(tmp_path: Path, study: Forked):
    os.rename(tmp_path / "out", tmp_path / "away")
    (tmp_path / "go").touch()
    code, _, err = study.ends()
    assert code in (0, 1)
    assert "Traceback" not in err
    (tmp_path / "go").unlink()
    continues(tmp_path)


def closed() -> None:
    os.close(1)
    sys.stdout = None  # as the interpreter has it then


def ascii_only() -> None:
    sys.stdout = os.fdopen(1, "w", encoding="ascii", closefd=False)


def far_temporary_folder(folder: Path) -> None:
    tempfile.tempdir = str(folder / ("x" * 100))
    os.mkdir(tempfile.tempdir)


@pytest.mark.parametrize("where", ["stdout closed", "stdout ASCII", "TMPDIR of 100 characters"])
def test_odd_surroundings_do_no_harm(tmp_path: Path, where: str):
    tiny.own(tmp_path, WORK, ["quick"], name="한 글 é")
    prepare: Callable[[], None] = {
        "stdout closed": closed,
        "stdout ASCII": ascii_only,
        "TMPDIR of 100 characters": partial(far_temporary_folder, tmp_path),
    }[where]
    with forked(tmp_path, "run", "한 글 é.py", "--out", "결과 é", prepare=prepare) as study:
        code, out, err = study.ends()
        nobody_is_left(study.pid)
    assert (code, err) == (0, "")
    assert (out == "") == (where == "stdout closed")
    rows = json.loads((tmp_path / "결과 é" / "verdicts.json").read_text())
    assert [row["verdict"] for row in rows] == ["supported"] * 2
