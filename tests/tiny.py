"""Tiny claims for the tests of what runs studies, written as files of one's own; and what talks to their processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rlnorm.study.claim import Claim, Part, Preset
from rlnorm.study.claim.load import ClaimFile, by_path
from rlnorm.study.judge import ClaimResult
from rlnorm.study.judge import assess as assess_plan
from rlnorm.study.plan import ArmPlan, Request, Unit, plan, training_unit
from rlnorm.study.plan import units as planned_units
from rlnorm.study.run import Store

Run = Callable[..., tuple[int, str, list[str]]]
"""`rlnorm ...` -> exit code, standard output, lines of standard error: the fixture `rlnorm`."""

SETTINGS = {"dataset": "digits", "hidden": (8,), "batch": 16, "train_size": 32, "optimizer": "sgd"}

EFFECT = """
from rlnorm.study.claim import Claim, Effect, Question, supervised_experiment

EXPERIMENT = supervised_experiment(
    steps={{"smoke": {steps}, "quick": {steps}, "full": {steps}}}, dataset="digits", hidden=(8,), batch=16,
    train_size=32, optimizer="sgd", lr=0.05,
)
QUESTION = Question(asks="superior", treatment="layer", reference="none", margin=0.01)
PART = Effect(
    experiment=EXPERIMENT,
    arms={{"none": {{}}, "layer": {{"norm": "layer"}}}},
    metric="accuracy",
    question=QUESTION,
    group="digits"{more},
)
CLAIM = Claim(
    title="LayerNorm is better",
    statement="Of {name}: LayerNorm is better.",
    source="nowhere",
    kind="effect",
    notes=("N0",),
    parts={{"digits, common rate": PART}},
)
"""

# Parts of an exact claim are pieces of work that a test can write as it likes: `case` runs in the unit's process.
OWN = """
import os, signal, sys, time
from pathlib import Path
from rlnorm.study.claim import Claim, Exact

HERE = Path(__file__).parent

def part(case, cases={cases}):
    return Exact(
        statement="0 = 0",
        formula=case,
        truth=lambda case: 0.0,
        draw=lambda rng: {{"x": rng.normal()}},
        scale=lambda case: 1.0,
        cases=cases,
    )

{functions}

CLAIM = Claim(
    title="Work to do",
    statement="Work to do.",
    source="nowhere",
    kind="exact",
    parts={{name: part(case) for name, case in {parts}.items()}},
)
"""


def claim(parts: Mapping[str, Part], **more: Any) -> Claim:
    """A claim of these parts; all else about it is made up."""
    made_up = {"title": "Made up", "statement": "Something is so.", "source": "nowhere", "kind": "effect"}
    return Claim(parts=parts, **{**made_up, **more})


def request(of: Mapping[str, Part], preset: Preset = "smoke", **more: Any) -> Request:
    """A request for a claim of these parts that has no file."""
    return Request(ClaimFile("made-up", claim(of), None), preset, **more)


def with_claim(one: Request, **changes: Any) -> Request:
    """The same request of a claim with `changes`."""
    return replace(one, file=replace(one.file, claim=replace(one.claim, **changes)))


def units(requests: Sequence[Request], store: Store) -> list[Unit]:
    """Every unit that is needed, given what is in the store."""
    return planned_units(plan(one, store.records) for one in requests)


def arms(one: Request, store: Store, part: str = "part") -> Mapping[str, ArmPlan]:
    """The plans of a part's arms, given what is in the store."""
    return next(each.arms for each in plan(one, store.records).parts if each.name == part)


def assess(one: Request, store: Store) -> ClaimResult:
    """The results of a request, judged from what is in the store."""
    return assess_plan(plan(one, store.records), store.find)


def effect(folder: Path, name: str = "tiny", steps: int = 3, more: str = "") -> Path:
    """A claim of one effect part on digits, as small as can be."""
    path = folder / f"{name}.py"
    path.write_text(EFFECT.format(name=name, steps=steps, more=more), encoding="utf-8")
    return path


def own(folder: Path, functions: str, parts: Sequence[str] | str, name: str = "work", cases: int = 2) -> Path:
    """A claim whose parts do whatever `functions` says: part names are function names."""
    listed = parts if isinstance(parts, str) else "{" + ", ".join(f'"{part}": {part}' for part in parts) + "}"
    path = folder / f"{name}.py"
    path.write_text(OWN.format(functions=functions, parts=listed, cases=cases), encoding="utf-8")
    return path


def planned(path: Path) -> list[Unit]:
    """The units of a claim's file, nothing being finished."""
    return units([Request(by_path(path), "smoke")], Store(path.parent / "nowhere"))


def unit(seed: int = 0, rate: float = 0.05, steps: int = 3, label: str = "tiny", **settings: object) -> Unit:
    """One small supervised unit of one member."""
    return training_unit("supervised", {**SETTINGS, **settings}, [seed], [rate], steps, label)


def fill(store: Store, units: Sequence[Unit], scores: Callable[[Unit], Sequence[float]]) -> None:
    """Write finished units whose members end with the test accuracies (or returns) that `scores` names."""
    for each in units:
        final = list(scores(each))
        blank = [0.0] * len(final)
        key = "return" if each.engine == "dqn" else "test_accuracy"
        last = {"final_return": final} if each.engine == "dqn" else {"train_accuracy": final}
        rows = [
            {"step": step, "loss": blank, key: final, "diverged": [False] * len(final), **(last if step == 2 else {})}
            for step in (1, 2)
        ]
        store.write(each, rows, lambda: 0.0)


def spread(mean: float, width: float, count: int) -> list[float]:
    """`count` scores evenly spread around `mean`."""
    return list(mean + width * np.linspace(-1, 1, count))


class Told:
    """A watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.endings: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def running(self, records: object) -> None: ...

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def ended(self, unit: Unit, how: str) -> None:
        self.endings.append((unit.label, how))


def command(*words: object) -> list[str]:
    """The `rlnorm` command of the interpreter that runs the tests."""
    return [sys.executable, "-m", "rlnorm", *map(str, words)]


def start(folder: Path, *words: object) -> subprocess.Popen[str]:
    """`rlnorm ...` at work in `folder`, leader of a process group of its own, that Ctrl-C reaches.

    A shell's background jobs ignore it and their children inherit that: without a reset here the tests of stopping
    would wait in vain wherever they are run so.
    """
    return subprocess.Popen(
        command(*words),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "80"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Until something is so; an AssertionError where it never is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def members(group: int) -> list[int]:
    """The processes of a group that are still there, from /proc; zombies are not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found


def end(process: subprocess.Popen[str]) -> None:
    """Whatever a failing test may leave at work."""
    for pid in members(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
