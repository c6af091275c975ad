"""What may be wrong with the folder of results and with the machine around a study: real disks, permissions, names."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from fault_trial import without_figures
from forked import Forked, forked
from mounted import read_only, small_disk, without_privileges

from rlnorm.study import study as module
from rlnorm.study.claim.load import by_path
from rlnorm.study.plan import Request
from rlnorm.study.run import Store
from rlnorm.study.run.history import remember

QUICK = "def one(case):\n    return 0.0\ndef two(case):\n    return 1.0"
BIG = '\nCLAIM.parts["big"] = part(one, {cases})\n'


def ended(folder: Path, *words: object, prepare: Callable[[], object] = without_figures) -> tuple[int, str, str]:
    """A command to its end, of which nothing is left."""
    with forked(folder, *words, prepare=prepare) as command:
        code, out, err = command.ends()
        tiny.wait_until(lambda: not tiny.members(command.pid), 20)
    assert "Traceback" not in out + err
    return code, " ".join(out.split()), err


def verdicts(out: Path) -> dict[str, str]:
    return {row["part"]: row["verdict"] for row in json.loads((out / "verdicts.json").read_text())}


class TestDisk:
    """Of 64 kB."""

    def test_is_too_small_to_begin(self, tmp_path: Path):
        tiny.own(tmp_path, QUICK, ["one"])
        (tmp_path / "disk").mkdir()
        with small_disk(tmp_path / "disk", "64k") as disk:
            code, _, err = ended(tmp_path, "run", "work.py", "--out", disk / "out")
            assert (code, err.count("\n")) == (2, 1)
            assert err.endswith(f"{str(disk / 'out')!r}: 0.1 MB are free there, and a study needs at least 10 MB.\n")
            assert list(disk.iterdir()) == []

    def test_fills_up_in_the_middle(self, tmp_path: Path):
        """No further unit begins, what is there stays, and with more room the same command does the rest."""
        path = tiny.own(tmp_path, QUICK, ["one", "two"])
        with path.open("a") as file:
            file.write(BIG.format(cases=3000))
        (tmp_path / "disk").mkdir()

        def prepare() -> None:
            without_figures()
            module.LEAST_FREE = 0

        with small_disk(tmp_path / "disk", "64k") as disk:
            words = ("run", "work.py", "--jobs", 1, "--out", disk / "out")
            assert ended(tmp_path, *words, "--part", "two", prepare=prepare)[::2] == (0, "")
            (kept,) = Store(disk / "out").files()
            rows = kept.read_bytes()
            code, _, err = ended(tmp_path, *words, prepare=prepare)
            where = f"its rows cannot be written to {str(disk / 'out')!r}: No space left on device (0 MB free)."
            assert code == 1
            assert f"rlnorm: failed: work, big: 3000 cases: {where}\n" in err
            assert f"rlnorm: failed: work, one: 2 cases: it was not begun: {where}\n" in err
            assert Store(disk / "out").files() == [kept]
            assert kept.read_bytes() == rows
            assert not list((disk / "out").rglob("*.partial"))
            shutil.copytree(disk / "out", tmp_path / "out")

        code, out, err = ended(tmp_path, "run", "work.py", "--out", "out")
        assert (code, err, out.count("finished:")) == (0, "", 2)
        named = {"one": "supported", "two": "refuted", "big": "supported"}
        assert verdicts(tmp_path / "out") == {"overall": "refuted", **named}


class TestPermission:
    def test_to_write_is_missing_from_the_start(self, tmp_path: Path):
        tiny.own(tmp_path, QUICK, ["one"])
        (tmp_path / "locked").mkdir(mode=0o555)
        code, _, err = ended(tmp_path, "run", "work.py", "--out", "locked/out", prepare=without_privileges)
        assert code == 2
        assert err == "rlnorm: cannot write results to --out 'locked/out': no permission in 'locked'.\n"
        assert list((tmp_path / "locked").iterdir()) == []

    def test_is_withdrawn_meanwhile(self, tmp_path: Path):
        """By the first of three units: the others do not begin, and the same command continues."""
        withdraw = "def one(case):\n    os.chmod(HERE / 'out' / 'units', MODE)\n    return 0.0"
        tiny.own(tmp_path, f"MODE = 0o555\n{withdraw}", "{'a': one, 'b': one, 'c': one}")

        def prepare() -> None:
            without_figures()
            without_privileges()

        words = ("run", "work.py", "--jobs", 1, "--out", "out")
        code, _, err = ended(tmp_path, *words, prepare=prepare)
        assert code == 1
        assert err.count(": its rows cannot be written to 'out': Permission denied (") == 3
        assert err.count(": it was not begun: ") == 2
        assert Store(tmp_path / "out").files() == []
        os.chmod(tmp_path / "out" / "units", 0o755)
        tiny.own(tmp_path, f"MODE = 0o755\n{withdraw}", "{'a': one, 'b': one, 'c': one}")
        assert ended(tmp_path, *words, prepare=prepare)[::2] == (0, "")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A claim whose part has a name that leads out of the folder, with a folder of its units."""
    folder = tmp_path_factory.mktemp("reported")
    path = tiny.effect(folder, "한 글")
    path.write_text(path.read_text("utf-8").replace("digits, common rate", "../../../up, <b>어 떤</b>"), "utf-8")
    one, store = Request(by_path(path), "smoke"), Store(folder / "out")
    remember([one], folder / "out")
    tiny.fill(store, tiny.units([one], store), lambda unit: tiny.spread(0.5 + 0.2 * ("layer" in unit.label), 0.1, 8))
    return folder


def test_four_writers_of_one_finished_folder_do_not_meet(tmp_path: Path, reported: Path):
    """Two of them write single runs, too, so that each finds what another wrote and writes it anew."""
    folder = shutil.copytree(reported, tmp_path / "copy")
    commands = [Forked(folder, "report", "out", *(["--per-seed"] if i % 2 else [])) for i in range(4)]
    try:
        for command in commands:
            code, out, err = command.ends(300)
            assert (code, err) == (0, ""), out
    finally:
        for command in commands:
            command.end()
    events = [path.parent for path in (folder / "out").rglob("events.out.tfevents.*")]
    assert len(events) == len(set(events)) > 2, "one file a run"
    assert not [path for path in (folder / "out").rglob("*") if "partial" in path.name]
    assert "한 글" in (folder / "out" / "report.html").read_text("utf-8")
    assert list(verdicts(folder / "out")) == ["overall", "../../../up, <b>어 떤</b>"]
    # And nothing lies beside the folder, though a part's name leads there.
    assert {path.name for path in folder.iterdir() if path.suffix != ".log"} == {"한 글.py", "out"}
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}


def test_a_finished_folder_that_can_only_be_read(tmp_path: Path):
    """It is verified; writing to it is refused in a sentence."""
    tiny.own(tmp_path, QUICK, ["one"])
    assert ended(tmp_path, "run", "work.py", "--out", "out")[::2] == (0, "")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    with read_only(tmp_path / "out") as out:
        code, said, err = ended(tmp_path, "verify", out)
        assert (code, err) == (0, "")
        assert "2 verdicts, judged again, are the same." in said
        code, _, err = ended(tmp_path, "report", out)
        assert (code, err.count("\n")) == (1, 1)
        assert "Read-only file system. What is finished is kept." in err
        code, _, err = ended(tmp_path, "run", "work.py", "--out", out)
        assert code == 2
        assert err == f"rlnorm: cannot write results to --out {str(out)!r}: {str(out)!r} can only be read.\n"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def clock_goes_back() -> None:
    """Each look at the clock tells an hour less than the one before."""
    without_figures()
    now = [time.time()]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    time.time, time.time_ns = earlier, lambda: int(earlier() * 1e9)


def no_temporary_folder() -> None:
    without_figures()
    tempfile.tempdir, tempfile._candidate_tempdir_list = None, lambda: ["/proc/none"]  # pyright: ignore


@pytest.mark.parametrize("where", [clock_goes_back, no_temporary_folder])
def test_a_machine_without_what_is_usual_does_no_harm(tmp_path: Path, where: Callable[[], None]):
    tiny.own(tmp_path, QUICK, ["one", "two"])
    words = ("run", "work.py", "--out", "out")
    assert ended(tmp_path, *words, "--part", "one", prepare=where)[::2] == (0, "")
    os.utime(Store(tmp_path / "out").files()[0], (10**10, 10**10))
    code, out, err = ended(tmp_path, *words, prepare=where)
    assert (code, err, out.count("finished:")) == (0, "", 1)
    assert verdicts(tmp_path / "out") == {"overall": "refuted", "one": "supported", "two": "refuted"}


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("out", loop),
        ("out/units", loop),
        ("out/units", Path.touch),
        ("out/work", Path.touch),
        ("out/study.json", Path.mkdir),
        ("out/verdicts.json", Path.mkdir),
    ],
)
def test_what_lies_in_the_way_is_a_sentence_or_no_harm(tmp_path: Path, name: str, is_there: Callable[[Path], object]):
    tiny.own(tmp_path, QUICK, ["one"])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    is_there(tmp_path / name)
    code, _, err = ended(tmp_path, "run", "work.py", "--out", "out")
    if code:
        assert code in (1, 2)
        assert err.startswith("rlnorm: ")
        assert err.count("\n") == 1
        assert Path(name).name in err
    else:
        assert (err, verdicts(tmp_path / "out")) == ("", {"overall": "supported", "one": "supported"})


BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": "/nowhere", "TMPDIR": "/nowhere"}


def test_a_bare_environment(tmp_path: Path):
    """A new interpreter: no UTF-8, no home, no compiler, no folder for temporary files."""
    (tmp_path / "한 글").mkdir()
    tiny.own(tmp_path / "한 글", QUICK, ["one", "two"])
    words = tiny.command("run", "한 글/../한 글/work.py", "--out", "한 글/../결 과")
    environment = {**BARE, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, timeout=900, check=False)
    assert (done.returncode, done.stderr.decode("ascii")) == (0, "")
    assert "2 units of work, 0 already settled." in done.stdout.decode("ascii")
    assert verdicts(tmp_path / "결 과") == {"overall": "refuted", "one": "supported", "two": "refuted"}
