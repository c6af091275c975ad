"""What a study costs beside its units: a finished folder, a thousand tiny units, the report of a large folder.

python scripts/bench_study.py --parts finished units --repetitions 2
python scripts/bench_study.py --parts report --folder runs/full

Seconds are of CPU, user and system, of a command with all its processes; the least of the repetitions counts, since
other work on the machine adds to them. Those of a new interpreter that imports the same modules are taken off ("beyond
imports"). `--folder` is copied before anything is written.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, too_few, unknown
from rlnorm.validation.options import read, typed

PR_SET_CHILD_SUBREAPER = 36
IMPORTS = (
    "import rlnorm.api, rlnorm.asking, rlnorm.showing, rlnorm.study.forecast, rlnorm.study.report.terminal\n"
    "from rlnorm.study.claim.load import shipped\nshipped()"
)
FINISHED = ("bn-forward", "bn-identity", "bn-grad-input")
CLAIM = """
from rlnorm.study.claim import Claim, Exact

def part(number):
    return Exact(
        statement="0 = 0", formula=lambda case: 0.0, truth=lambda case: 0.0, draw=lambda rng: {{"x": rng.normal()}},
        scale=lambda case: 1.0, cases=1,
    )

CLAIM = Claim(
    title="Tiny units", statement="Many tiny units.", source="nowhere", kind="exact",
    parts={{f"part {{i}}": part(i) for i in range({count})}},
)
"""


class Cost(NamedTuple):
    """Seconds of CPU and of the day, MB that the main process had at most, MB that it grew by over the later units."""

    cpu: float
    wall: float
    peak: float
    growth: float = 0.0


class Row(NamedTuple):
    """One line of the table: what, the figure with its unit, and the aim."""

    what: str
    figure: str
    aim: str


def command(*words: object) -> list[str]:
    """`rlnorm ...` by this interpreter."""
    return [sys.executable, "-m", "rlnorm", *map(str, words)]


def cost(words: Sequence[str], folder: Path, units: int = 0) -> Cost:
    """What a command and all its processes cost. Growth is measured from a quarter of `units` on, to the last."""
    begin, samples = time.monotonic(), list[float]()
    with (folder / "log").open("wb") as log:
        main = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    while units and os.waitid(os.P_PID, main.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if units / 4 <= len(list(folder.glob("out/units/*.jsonl"))) < units:
            samples.append(_resident(main.pid))
        time.sleep(0.2)
    cpu, peak = 0.0, 0.0
    while True:
        try:  # orphans of the command, too: this process takes them over
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += used.ru_utime + used.ru_stime
        if pid == main.pid:
            main.returncode, peak = os.waitstatus_to_exitcode(status), used.ru_maxrss / 1000
    if main.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with exit code {main.returncode}: {(folder / 'log').read_text()}")
    return Cost(cpu, time.monotonic() - begin, peak, samples[-1] - samples[0] if samples else 0.0)


def _resident(pid: int) -> float:
    """MB that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def least(words: Sequence[str], folder: Path, repetitions: int, before: Callable[[], object] = lambda: None) -> Cost:
    """The cheapest of several times; `before` each."""
    found = list[Cost]()
    for _ in range(repetitions):
        before()
        found.append(cost(words, folder))
    return min(found)


def finished(folder: Path, repetitions: int, imports: Cost) -> Iterator[Row]:
    """A command whose units are all there. The claims import what they need when they are looked up."""
    claims = f"{IMPORTS}\nfor each in {FINISHED!r}: shipped()[each]"
    imports = least([sys.executable, "-c", claims], folder, repetitions)
    words = command("run", *FINISHED, "--out", "out")
    cost(words, folder)
    again = least(words, folder, repetitions)
    what = f"`rlnorm run` of {len(FINISHED)} finished claims, beyond imports"
    yield Row(what, f"{again.cpu - imports.cpu:.2f} s", "2 s")


def units(folder: Path, repetitions: int, imports: Cost, count: int = 1000) -> Iterator[Row]:
    """Many tiny units, beside a study of two."""
    for name, number in (("few", 2), ("many", count)):
        (folder / f"{name}.py").write_text(CLAIM.format(count=number))
    few = cost(command("run", "few.py", "--out", "few"), folder)
    many = cost(command("run", "many.py", "--out", "out"), folder, count)
    each = (many.cpu - few.cpu) / (count - 2)
    yield Row(f"{count} tiny units in one study, each, report included", f"{1000 * each:.1f} ms", "50 ms")
    yield Row("its main process, at most", f"{many.peak:.0f} MB", "300 MB")
    yield Row("a new interpreter with the same imports", f"{imports.peak:.0f} MB", "")
    yield Row(f"growth from unit {count // 4} to the last", f"{many.growth:.1f} MB", "0 MB")
    again = least(command("run", "many.py", "--out", "out"), folder, repetitions)
    yield Row(f"`rlnorm run` of {count} finished parts, beyond imports", f"{again.cpu - imports.cpu:.2f} s", "")


def report(folder: Path, repetitions: int, imports: Cost) -> Iterator[Row]:
    """`rlnorm report` of a folder: everything drawn, then nothing because nothing changed."""
    words = command("report", "out", "--trust")
    drawn = least(words, folder, repetitions, lambda: (folder / "out" / "report.html").unlink(missing_ok=True))
    again = least(words, folder, repetitions)
    yield Row("`rlnorm report` of the folder, everything drawn", f"{drawn.cpu:.1f} s", "10 s")
    yield Row("the same, imports included, where nothing changed", f"{again.cpu:.1f} s", "10 s")
    yield Row("its process, at most", f"{drawn.peak:.0f} MB", "")


PARTS = {"finished": finished, "units": units, "report": report}


def main(
    parts: tuple[str, ...] = ("finished", "units"),
    repetitions: int = 2,
    folder: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Measure, and print a table.

    Args:
        parts: What to measure: finished, units, report.
        repetitions: Of each command.
        folder: Folder of a study to report.
    """
    wrong = [unknown("part", part, PARTS) for part in parts if part not in PARTS]
    wrong += [f"--folder {str(folder)!r} is no folder."] if folder and not folder.is_dir() else []
    wrong += ["the part `report` needs a --folder."] if "report" in parts and folder is None else []
    raise_if_any([*wrong, *too_few({"--repetitions": repetitions})])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as name:
        imports = least([sys.executable, "-c", IMPORTS], Path(name), repetitions)
        rows = [Row("a new interpreter with all imports", f"{imports.cpu:.2f} s", "")]
        for part in parts:
            here = Path(tempfile.mkdtemp(dir=name))
            if part == "report" and folder:
                shutil.copytree(folder, here / "out")
            for row in PARTS[part](here, repetitions, imports):
                rows.append(row)
                print(f"| {row.what} | {row.figure} | {row.aim} |", flush=True)
    print("\n| what | least CPU seconds, or most memory | aim |\n|---|---|---|")
    print("\n".join(f"| {row.what} | {row.figure} | {row.aim} |" for row in rows))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
