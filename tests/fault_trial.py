"""Kills a small study at random moments and counts how often the same command ends in the same rows and verdicts.

python tests/fault_trial.py --kills 50 --seed 0

Each turn begins a study of six trained and two exact units in a new folder, kills one of its processes by SIGKILL
after a random time, and repeats the command until it ends. The page and event files, which take longest, are left out.
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
from pathlib import Path
from typing import Any

import tiny
from forked import Forked

from rlnorm.study import study
from rlnorm.study.report import verdicts
from rlnorm.study.run import Store
from rlnorm.tasks import datasets

EXACT = "def case(case):\n    time.sleep(0.1)\n    return 0.0"
VICTIMS = ("a worker", "the server", "the main process", "the group")


def without_figures() -> None:
    """Let a command write verdicts alone."""
    study.write = lambda result, out, _: verdicts.write(result, out)


def made(folder: Path) -> tuple[dict[str, list[bytes]], Any]:
    """What a study came to: the lines of each unit without their seconds and sum, and all verdicts."""
    rows = {path.name: path.read_bytes().splitlines()[:-1] for path in Store(folder / "out").files()}
    return rows, json.loads((folder / "out" / "verdicts.json").read_text())


def leftovers(folder: Path) -> list[str]:
    """What no study leaves behind."""
    return [path.name for path in (folder / "out").rglob("*") if path.suffix in (".partial", ".lock", ".damaged")]


def command(folder: Path) -> Forked:
    """The study of a folder, at work."""
    exact = tiny.own(folder, EXACT, "{'a': case, 'b': case}", cases=5)
    claims = tiny.effect(folder, "rates", more=", rates=(0.01, 0.05)"), exact
    words = "run", *(path.name for path in claims), "--preset", "smoke", "--jobs", 2, "--out", "out"
    return Forked(folder, *words, prepare=without_figures)


def ended(folder: Path) -> tuple[float, bool]:
    """Do the command to its end -> its seconds, and whether nothing of it is left."""
    begin = time.monotonic()
    running = command(folder)
    code, _, err = running.ends(600)
    assert (code, err) == (0, ""), err
    tiny.wait_until(lambda: not tiny.members(running.pid), 30)
    return time.monotonic() - begin, not leftovers(folder)


def kill(running: Forked, whom: str, rng: random.Random) -> bool:
    """Kill `whom` -> whether there was one to kill."""
    if running.poll() is not None:
        return False
    workers = running.workers()
    if whom in ("a worker", "the server") and not workers:
        return False
    if whom == "the group":
        os.killpg(running.pid, signal.SIGKILL)
    else:
        chosen = {"a worker": rng.choice(workers or [0]), "the main process": running.pid}
        os.kill(chosen[whom] if whom in chosen else running.server(), signal.SIGKILL)
    return True


def trial(kills: int, seed: int) -> Counter[str]:
    """How often each process was killed, and how often the outcome was the same."""
    rng, counted = random.Random(seed), Counter[str]()
    datasets.dataset("digits")
    with tempfile.TemporaryDirectory() as name:
        ended(Path(name))
        seconds, _ = ended(undisturbed := Path(tempfile.mkdtemp(dir=name)))
        expected = made(undisturbed)
        while sum(counted[whom] for whom in VICTIMS) < kills:
            whom, folder = VICTIMS[sum(counted[whom] for whom in VICTIMS) % 4], Path(tempfile.mkdtemp(dir=name))
            running = command(folder)
            time.sleep(rng.uniform(0, seconds))
            if not kill(running, whom, rng):
                running.end()
                counted["nobody there"] += 1
                continue
            counted[whom] += 1
            if "process" in whom or "group" in whom:
                running.ends()
                tiny.wait_until(lambda group=running.pid: not tiny.members(group), 30)
            else:
                code, _, err = running.ends(600)
                assert (code, err) == (0, ""), err
            clean = ended(folder)[1]
            same = made(folder) == expected and clean
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
