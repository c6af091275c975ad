"""Kills a small study at random moments and counts how often the same command ends in the same rows and verdicts.

python tests/fault_trial.py --kills 50 --seed 0

Each turn begins a study of four trained and two exact units in a new folder, kills one of its processes by SIGKILL at a
random moment, and repeats the command until it ends. What was finished at that moment must be neither lost nor done
again. The page and event files, which take longest, are left out.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import tiny
from forked import Forked, parent

from rlnorm.study import study
from rlnorm.study.report import verdicts
from rlnorm.study.run import Store
from rlnorm.tasks import datasets

EXACT = "def case(case):\n    time.sleep(0.1)\n    return 0.0"
UNITS = 6
VICTIMS = ("a worker", "the server", "the main process", "the group")


def without_figures() -> None:
    """Let a command write verdicts alone."""
    study.write = lambda result, out, _: verdicts.write(result, out)


def made(folder: Path) -> tuple[dict[str, list[bytes]], Any]:
    """What a study came to: the lines of each unit without their seconds and sum, and all verdicts.

    Not where and from which code: folders differ, and sources may be edited meanwhile.
    """
    rows = {path.name: path.read_bytes().splitlines()[:-1] for path in Store(folder / "out").files()}
    verdicts = json.loads((folder / "out" / "verdicts.json").read_text())
    return rows, [
        {name: row[name] for name in row if name not in ("commit", "computed", "command")} for row in verdicts
    ]


def leftovers(folder: Path) -> list[str]:
    """What no study leaves behind."""
    return [path.name for path in (folder / "out").rglob("*") if path.suffix in (".partial", ".lock", ".damaged")]


def command(folder: Path) -> Forked:
    """The study of a folder, at work."""
    exact = tiny.own(folder, EXACT, "{'a': case, 'b': case}", cases=5)
    claims = tiny.effect(folder, "rates", more=", rates=(0.01, 0.05)"), exact
    words = "run", *(path.name for path in claims), "--preset", "smoke", "--jobs", 2, "--out", "out"
    return Forked(folder, *words, prepare=without_figures)


def ended(folder: Path) -> bool:
    """Do the command to its end -> whether nothing of it is left."""
    running = command(folder)
    code, _, err = running.ends(600)
    assert (code, err) == (0, ""), err
    tiny.wait_until(lambda: not tiny.members(running.pid), 30)
    return not leftovers(folder)


def victim(running: Forked, whom: str, rng: random.Random) -> int | None:
    """The process to kill, a negative number for its group; None where there is none at the moment."""
    workers = running.workers()
    if running.poll() is not None or (whom in ("a worker", "the server") and not workers):
        return None
    chosen = {
        "a worker": lambda: rng.choice(workers),
        "the server": lambda: parent(workers[0]) or None,
        "the main process": lambda: running.pid,
        "the group": lambda: -running.pid,
    }
    return chosen[whom]()


def kill(running: Forked, whom: str, rng: random.Random) -> bool:
    """Kill `whom` at a random moment -> whether there was one to kill: some units are finished, another is at work."""
    some, files = rng.randrange(UNITS), Store(running.folder / "out").files
    tiny.wait_until(lambda: (len(files()) >= some and victim(running, whom, rng)) or running.poll() is not None, 600)
    time.sleep(rng.uniform(0, 0.5))
    pid = victim(running, whom, rng)
    if pid is not None:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """The file of each finished unit: another one has another."""
    files = Store(folder / "out").files()
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def turn(folder: Path, whom: str, rng: random.Random) -> bool | None:
    """One kill -> whether nothing was lost, done twice or left behind, rows and verdicts aside; None: nobody killed."""
    running = command(folder)
    try:
        if not kill(running, whom, rng):
            return None
        kept = identities(folder)
        code, _, err = running.ends(600)
        tiny.wait_until(lambda: not tiny.members(running.pid), 30)
    finally:
        running.end()
    went_on = (code, err) == (0, "") if whom in ("a worker", "the server") else code == -signal.SIGKILL
    return went_on and ended(folder) and kept.items() <= identities(folder).items()


def trial(kills: int, seed: int) -> Counter[str]:
    """How often each process was killed, and how often the outcome was the same."""
    rng, counted = random.Random(seed), Counter[str]()
    datasets.dataset("digits")
    with tempfile.TemporaryDirectory() as name:
        ended(undisturbed := Path(tempfile.mkdtemp(dir=name)))
        expected = made(undisturbed)
        assert len(expected[0]) == UNITS
        while (done := sum(counted[whom] for whom in VICTIMS)) < kills:
            whom, folder = VICTIMS[done % len(VICTIMS)], Path(tempfile.mkdtemp(dir=name))
            clean = turn(folder, whom, rng)
            if clean is None:
                counted["nobody there"] += 1
                continue
            same = clean and made(folder) == expected
            counted[whom] += 1
            counted[f"{whom}: the same"] += same
            print(whom, "the same" if same else f"ANOTHER in {folder}", dict(counted), flush=True)  # noqa: T201
    return counted


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    found = trial(given.kills, given.seed)
    sys.exit(0 if sum(found[f"{whom}: the same"] for whom in VICTIMS) == given.kills else 1)
