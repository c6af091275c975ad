"""From declarations to units of work.

A unit is one arm x one block of seeds at one budget. Its id is a hash of everything that decides its rows: engine,
settings (defaults filled in), seeds, rates, budget, the sources that the engine runs on, the torch version, eager or
compiled. Not the claim: claims share arms, and a finished unit is used by all that need it.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import rlnorm
from rlnorm import compiling
from rlnorm.population import RECORDS
from rlnorm.study.claim import FIRST_JUDGED, Effect, Preset
from rlnorm.study.engines import SOURCES, TRAINING

SELECTION = tuple(range(FIRST_JUDGED))  # seeds on which rates are chosen
SEEDS: Mapping[Preset, int] = {"smoke": 8, "quick": 16, "full": 16}
COMPILE_FROM = 2000  # updates; below, compiling takes longer than it saves


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work, restarted whole if it dies. Member i is (seeds[i], rates[i]).

    settings  everything the engine is given, defaults filled in
    declared  what was declared of it; None: all of it
    files     files outside the engine's sources whose text decides the rows too: a claim's (exact and cost parts, where
              it comes first), a norm's of one's own
    """

    engine: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    steps: int
    label: str
    files: tuple[Path, ...] = ()
    declared: Mapping[str, Any] | None = None

    @cached_property
    def question(self) -> str:
        """Hash of what is run, whatever version of the code runs it (a claim's own file says what: its text counts)."""
        body = self._body(self.settings if self.declared is None else self.declared)
        own = {} if self.engine in TRAINING else {"files": [digest(path.read_text("utf-8")) for path in self.files]}
        return digest({**body, **own})

    @cached_property
    def id(self) -> str:
        """Hash of everything that decides the rows."""
        return digest({**self._body(self.settings), **self._made_by()})

    @property
    def records(self) -> int:
        """How many records the unit comes to."""
        return RECORDS if self.engine in TRAINING else self.steps

    def header(self) -> dict[str, object]:
        """The first line of the unit's file."""
        head = {"unit": self.id, "label": self.label, "question": self.question, "commit": commit()}
        return {**head, **self._body(self.settings), **self._made_by()}

    def _body(self, settings: Mapping[str, Any]) -> dict[str, object]:
        return {
            "engine": self.engine,
            "settings": {name: _without_folder(value) for name, value in settings.items()},
            "seeds": list(self.seeds),
            "lrs": list(self.rates),
            "steps": self.steps,
        }

    def _made_by(self) -> dict[str, object]:
        own = TRAINING[self.engine].libraries if self.engine in TRAINING else ()
        known = {**versions(), **{name: _version(name) for name in own}}
        return {"versions": known, "sources": source_hash(self.engine, self.files)}


def _without_folder(value: object) -> object:
    """A file of one's own by its name alone: where it lies decides nothing."""
    return Path(value).name if isinstance(value, str) and value.endswith(".py") else value


def digest(value: object) -> str:
    """Hash of JSON-able data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@cache
def versions() -> dict[str, str]:
    """Of the libraries that a row depends on."""
    return {"torch": torch.__version__, "numpy": np.__version__, "gymnasium": gymnasium.__version__}


def _version(library: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(library)
    return ""


@cache
def commit() -> str | None:
    """The commit of the checkout that the package runs from, "-dirty" with changes; None outside of one."""
    command = ["git", "-C", str(Path(rlnorm.__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def source_hash(engine: str, files: tuple[Path, ...] = ()) -> str:
    """Hash of the sources an engine runs on: its own packages, and `files` with the helpers that lie beside them."""
    root = Path(rlnorm.__file__).parent
    listed = [p for name in SOURCES[engine] for p in (root / name, *root.glob(f"{name}/**/*.py")) if p.is_file()]
    texts = {p.relative_to(root).as_posix(): p for p in listed}
    texts |= {p.name: p for file in files for p in (*file.parent.glob("_[!_]*.py"), file)}
    found = hashlib.sha256()
    for name, path in sorted(texts.items()):
        found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:20]


def training_unit(
    engine: str, settings: Mapping[str, Any], seeds: Sequence[int], rates: Sequence[float], steps: int, label: str
) -> Unit:
    """A unit of a training engine with every default filled in and the choice between eager and compiled made."""
    members = {"seeds": seeds, "rates": rates, "steps": steps}
    run: Any = TRAINING[engine].settings(**settings, **members)
    resolved = {name: value for name, value in run.values().items() if name not in members}
    resolved["compile"] = TRAINING[engine].compiled(run) >= COMPILE_FROM and compiling.available()
    files = tuple(Path(value) for value in resolved.values() if isinstance(value, str) and value.endswith(".py"))
    declared = {name: resolved[name] for name in settings}
    return Unit(engine, resolved, run.seeds, run.rates, run.steps, label, files, declared)


@dataclass(frozen=True)
class Need:
    """What an arm needs: the units that choose its rate, and those that judge it (None: its rate is not yet chosen)."""

    select: tuple[Unit, ...]
    judge: tuple[Unit, ...] | None
    rate: float | None


def over_grid(part: Effect) -> range:
    """The seeds on which a grid is judged: as many as choose a rate elsewhere."""
    return range(part.judged_from, part.judged_from + len(SELECTION))


def arm_need(
    what: str,
    part: Effect,
    arm: str,
    preset: Preset,
    seeds: int,
    choose: Callable[[Effect, Sequence[Unit]], float | None],
) -> Need:
    """The units of one arm of a part that `what` names.

    `choose(part, selection units)` gives the best rate there, or None while they are not all finished. A planted arm
    takes the reference's rate: with one of its own it could make up for what makes it worse.
    """
    judged = range(part.judged_from, part.judged_from + seeds)

    def blocks(arm: str, seeds: Sequence[int], rates: Sequence[float], note: str = "") -> tuple[Unit, ...]:
        """Every seed at every rate, in units of no more agents than the engine trains as one population."""
        engine, settings, _ = _settled(part, arm)
        size = max(1, TRAINING[engine].block // len(rates))
        steps, found = part.experiment.steps[preset], list[Unit]()
        for each in (seeds[i : i + size] for i in range(0, len(seeds), size)):
            members = [(seed, rate) for seed in each for rate in rates]
            of = [seed for seed, _ in members], [rate for _, rate in members]
            found.append(training_unit(engine, settings, *of, steps, f"{what}: {arm}{note}, {_named(each)}"))
        return tuple(found)

    select: tuple[Unit, ...] = ()
    rate: float | None = _settled(part, arm)[2]
    if part.rates:
        note = f", {len(part.rates)} rates"
        if part.grid:
            return Need((), blocks(arm, over_grid(part), part.rates, note), None)
        chooser = part.question.reference if arm == part.question.planted else arm
        select = blocks(chooser, SELECTION, part.rates, note)
        rate = choose(part, select)
    return Need(select, None if rate is None else blocks(arm, judged, [rate]), rate)


def _settled(part: Effect, arm: str) -> tuple[str, dict[str, object], float]:
    """An arm's engine, its settings without the rate, and the common rate."""
    engine, settings = part.experiment.of(part.arms[arm])
    common: Any = settings.pop("lr")
    return engine, settings, float(common)


def _named(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
