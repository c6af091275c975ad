"""Units in processes of their own: real processes, some of which die."""

import io
import re
from pathlib import Path

import pytest
import tiny
from rich.console import Console

from rlnorm.study.claim import load
from rlnorm.study.plan import Request, Unit
from rlnorm.study.run import Bars, Store, run, unfinished

KILLED = """
def once(case):
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0

def always(case):
    os.kill(os.getpid(), signal.SIGKILL)

def fine(case):
    return 0.0
"""


def planned(path: Path) -> dict[str, Unit]:
    """The units of a claim's file by the names of its parts."""
    planned = tiny.units([Request(load.by_path(path), "smoke")], Store(path.parent))
    return {unit.settings["part"]: unit for unit in planned}


def done(path: Path, jobs: int = 2) -> tuple[dict[str, str], tiny.Told, Store, dict[str, Unit]]:
    """All units of a claim's file, run: reasons of failure by part."""
    work, store, told = planned(path), Store(path.parent), tiny.Told()
    failed = run(list(work.values()), store, jobs, told)
    return {unit.settings["part"]: reason for unit, reason in failed.items()}, told, store, work


def test_a_killed_process_fails_nothing_a_second_kill_fails_its_own_unit(tmp_path: Path):
    failed, told, store, work = done(tiny.own(tmp_path, KILLED, ["once", "always", "fine"]))
    assert failed == {"always": "its process was killed by SIGKILL, 2 times; out of memory is the usual cause."}
    assert store.finished(work["once"])
    assert store.finished(work["fine"])
    assert not store.finished(work["always"])
    assert sorted(how for _, how in told.endings) == [*["died, to be begun anew"] * 2, "failed", *["finished"] * 2]
    assert ("work, always: 2 cases", "failed") in told.endings


ERRORS = """
def wrong(case):
    raise ValueError("no such thing")

def full(case):
    raise OSError(28, "No space left on device")

def leaves(case):
    os._exit(0)

def stops(case):
    exit(0)

class Unlike(Exception):
    def __init__(self):
        super().__init__("cannot be pickled")
        self.file = open("/dev/null")

def unlike(case):
    raise Unlike

class Silent(Exception):
    def __str__(self):
        raise OSError("broken")

def silent(case):
    raise Silent

def talks(case):
    raise RuntimeError("x" * 10**7)

def interrupts(case):
    raise KeyboardInterrupt

def stops_iteration(case):
    raise StopIteration

def hungry(case):
    return [0.0] * 2**60

def deep(case):
    return deep(case)

def fine(case):
    print("x" * 10**6)
    os.write(1, b"\\xff" * 10**6)
    return 0.0
"""
SAID = {
    "wrong": "ValueError: no such thing",
    "full": "OSError: [Errno 28] No space left on device",
    "stops": "SystemExit: 0",
    "unlike": "Unlike: cannot be pickled",
    "silent": "Silent: its message raises OSError",
    "talks": f"RuntimeError: {'x' * 1000} …",
    "interrupts": "KeyboardInterrupt",
    "stops_iteration": "RuntimeError: generator raised StopIteration",
    "hungry": "MemoryError",
    "deep": "RecursionError: maximum recursion depth exceeded",
}


def test_what_goes_wrong_in_a_unit_is_its_reason(tmp_path: Path):
    failed, _, store, work = done(tiny.own(tmp_path, ERRORS, [*SAID, "leaves", "fine"]))
    kept = {name: store.units / f"{unit.id}.error" for name, unit in work.items()}
    for name, said in SAID.items():
        assert failed.pop(name) == f"{said}; the traceback is in {str(kept[name])!r}."
        text = kept.pop(name).read_text()
        assert text.startswith(f"work, {name}: 2 cases\n\n")
        assert name == "talks" or f"in {name}\n" in text
    assert failed == {"leaves": "its process ended without a result (exit code 0), 2 times."}
    assert [name for name, unit in work.items() if store.finished(unit)] == ["fine"]
    assert store.read(work["fine"]).records[-1]["error"] == 0.0
    assert not any(path.exists() for path in kept.values())
    assert {path.suffix for path in store.units.iterdir()} == {".jsonl", ".error"}


def test_a_folder_that_takes_no_files_fails_the_unit_with_the_reason(tmp_path: Path):
    path = tiny.own(tmp_path, "def fine(case):\n    return 0.0", ["fine"])
    (tmp_path / "units").write_text("a file where the folder should be")
    failed, _, _, _ = done(path)
    assert failed["fine"].startswith(f"its rows cannot be written to {str(tmp_path)!r}")


NORMS = """
import ctypes, os
from torch import nn
from rlnorm.nn.norm import Norm

class {kind}(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, x):
        {does}
        return x

NORM = Norm("{name}", {{0: {kind}}})
"""


def test_a_norm_that_ends_its_process_fails_its_own_unit(tmp_path: Path):
    """By leaving, and by a fault in native code."""
    for name, does in {"exits": "exit(0)", "crashes": "ctypes.string_at(0)"}.items():
        (tmp_path / f"{name}.py").write_text(NORMS.format(name=name, kind=name.title(), does=does))
    settings = {"none": "none", "exits": str(tmp_path / "exits.py"), "crashes": str(tmp_path / "crashes.py")}
    work, store = {name: tiny.unit(label=name, norm=norm) for name, norm in settings.items()}, Store(tmp_path)
    failed = run(list(work.values()), store, 2, tiny.Told())
    assert failed.pop(work["exits"]).startswith("SystemExit: 0; the traceback is in ")
    assert failed == {
        work["crashes"]: "its process was killed by SIGSEGV, 2 times; a fault in native code is the usual cause."
    }
    assert store.finished(work["none"])


WHERE = """
import torch

def one_thread(case):
    return float(torch.get_num_threads() != 1)

def torch_was_there_before(case):
    maps = Path(f"/proc/{os.getppid()}/maps")
    return float(maps.exists() and "libtorch" not in maps.read_text())

def does_not_import_the_program(case):
    return float(hasattr(sys.modules["__main__"], "__file__"))
"""


def test_a_units_process_has_one_thread_and_comes_from_one_that_has_imported_everything(tmp_path: Path):
    failed, _, store, work = done(tiny.own(tmp_path, WHERE, "{n: f for n, f in list(globals().items()) if '_t' in n}"))
    assert failed == {}
    assert set(work) == {"one_thread", "torch_was_there_before", "does_not_import_the_program"}
    errors = {name: store.read(unit).records[-1]["error"] for name, unit in work.items()}
    assert errors == dict.fromkeys(work, 0.0)


def test_finished_units_are_not_done_again(tmp_path: Path):
    path = tiny.own(tmp_path, "def fine(case):\n    return 0.0\ndef other(case):\n    return 0.0", ["fine", "other"])
    work, store = planned(path), Store(tmp_path)
    run([work["fine"]], store, 1, tiny.Told())
    before = store.path(work["fine"]).stat()
    told = tiny.Told()
    assert unfinished(work.values(), store) == [work["other"]]
    assert run(list(work.values()), store, 1, told) == {}
    assert told.endings == [("work, other: 2 cases", "finished")]
    after = store.path(work["fine"]).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


BUSY = """
def busy(case):
    with (HERE / "times").open("a") as file:
        file.write("+")
    time.sleep(0.2)
    with (HERE / "times").open("a") as file:
        file.write("-")
    return 0.0
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_units_at_a_time_than_jobs(tmp_path: Path, jobs: int):
    path = tiny.own(tmp_path, BUSY, "{str(i): busy for i in range(4)}", cases=1)
    assert done(path, jobs)[0] == {}
    steps = [{"+": 1, "-": -1}[sign] for sign in (tmp_path / "times").read_text()]
    counts = [sum(steps[: i + 1]) for i in range(len(steps))]
    assert len(steps) == 8
    assert max(counts) == jobs
    assert counts[-1] == 0


COST = """
from rlnorm.study.claim import Cost, Question

def busy(name):
    def work():
        with (HERE / "times").open("a") as file:
            file.write(name)
        time.sleep(0.01)
        with (HERE / "times").open("a") as file:
            file.write(name.lower())
    return lambda: work

def case(case):
    busy("X")()()
    return 0.0

def timing():
    question = Question(asks="superior", treatment="a", reference="b", margin=1.25, scale="ratio")
    arms = {"a": busy("A"), "b": busy("B")}
    return Cost(statement="a is quicker", arms=arms, question=question, repetitions=3, chunk=0.0)
"""


def test_units_that_measure_time_run_alone_and_last(tmp_path: Path):
    path = tiny.own(tmp_path, COST, ["case"], cases=3)
    with path.open("a") as file:
        file.write('\nCLAIM.parts.update({"t1": timing(), "x2": part(case, 3), "t2": timing()})\n')
    failed, _, store, work = done(path)
    assert failed == {}
    times = (tmp_path / "times").read_text()
    measured = times[times.index("A") if times.index("A") < times.index("B") else times.index("B") :]
    assert not set(measured) & set("Xx")
    assert re.fullmatch("(Aa|Bb)+", measured)
    assert [set(record["seconds"]) for record in store.read(work["t1"]).records] == [{"a", "b"}] * 3


class TestProgress:
    label = "bn-relu, depth 8, accuracy, own best rate: none, choosing among 5 rates"

    def told(self, terminal: bool) -> str:
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=80, color_system=None, highlight=False)
        first, second = tiny.unit(label=self.label), tiny.unit(label="[bold] is no markup")
        now = iter([0.0, *[4.0] * 2, *[10.0] * 99])
        with Bars(console, [first, second, *(tiny.unit() for _ in range(29))], clock=lambda: next(now)) as bars:
            bars.running({first: 0})
            bars.running({first: 37})
            bars._progress.refresh()
            bars.running({first: 99, second: 250})
            bars.ended(first, "finished")
            bars.ended(second, "died, to be begun anew")
            bars.ended(second, "failed")
            bars.running({})
            bars._progress.refresh()
        return out.getvalue()

    def test_bars_fit_eighty_columns_and_crop_long_labels(self):
        lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split("[\r\n]+", self.told(terminal=True))]
        assert max(map(len, lines)) <= 80
        shown = [line for line in lines if line.strip().startswith("none, choosing among 5 rates (bn-relu")]
        assert shown
        assert all("…" in line for line in shown)
        assert any("37 %" in line for line in shown)
        assert any("2 of 31 units, 2 min 25 s to go, 1 failed" in line for line in lines)
        assert "failed: [bold] is no markup" in lines
        assert not any(line.startswith("finished") for line in lines)

    def test_elsewhere_there_is_one_plain_line_per_unit(self):
        assert self.told(terminal=False).splitlines() == [
            f"[1/31] finished: {self.label}; 2 min 25 s to go",
            "[1/31] died, to be begun anew: [bold] is no markup; 5 min 0 s to go",
            "[2/31] failed: [bold] is no markup; 2 min 25 s to go, 1 failed",
        ]

    def test_many_small_units_done_first_promise_no_days(self):
        """Algebra takes a second a unit, whatever its cases; 50 000 steps of 16 agents take twenty."""
        small = [Unit("exact", {}, (), (), 1_000, "small") for _ in range(20)]
        large = [Unit("dqn", {}, tuple(range(16)), (1e-3,) * 16, 50_000, "large") for _ in range(10)]
        now = iter([0.0, *[20.0] * 99])
        with Bars(Console(file=io.StringIO()), [*small, *large], clock=lambda: next(now)) as bars:
            for unit in small:
                bars.ended(unit, "finished")
            seconds = bars.to_go()
        assert seconds is not None
        assert 100 < seconds < 500
