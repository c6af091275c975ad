"""From declarations to units of work.

A unit is one arm x one block of seeds at one budget. Its id is a hash of everything that decides its rows: engine,
settings (defaults filled in), seeds, rates, budget, the sources that the engine runs on, the torch version, eager or
compiled. Not the claim: claims share arms, and a finished unit is used by all that need it.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import rlnorm
from rlnorm import compiling
from rlnorm.study.claim import Effect, Preset
from rlnorm.study.engines import SOURCES, TRAINING

SELECTION = tuple(range(8))  # seeds on which rates are chosen ...
FIRST_JUDGED = 8  # ... and the first of the fresh ones on which arms are judged
SEEDS: Mapping[Preset, int] = {"smoke": 8, "quick": 16, "full": 16}
BLOCK = 16  # judged seeds trained as one population
COMPILE_FROM = 2000  # updates; below, compiling takes longer than it saves


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work, restarted whole if it dies. Member i is (seeds[i], rates[i])."""

    engine: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    steps: int
    label: str
    path: Path | None = None  # the claim's file, for exact and cost parts

    @cached_property
    def question(self) -> dict[str, object]:
        """What is run, whatever version of the code runs it."""
        return {
            "engine": self.engine,
            "settings": dict(self.settings),
            "seeds": list(self.seeds),
            "lrs": list(self.rates),
            "steps": self.steps,
        }

    @cached_property
    def id(self) -> str:
        """Hash of everything that decides the rows."""
        made_by = {"versions": versions(), "sources": source_hash(self.engine, self.path)}
        return digest({**self.question, **made_by})

    def header(self) -> dict[str, object]:
        """The first line of the unit's file."""
        made_by = {"versions": versions(), "sources": source_hash(self.engine, self.path)}
        return {"unit": self.id, "label": self.label, "question": digest(self.question), **self.question, **made_by}


def digest(value: object) -> str:
    """Hash of JSON-able data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@cache
def versions() -> dict[str, str]:
    """Of the libraries that a row depends on."""
    return {"torch": torch.__version__, "numpy": np.__version__, "gymnasium": gymnasium.__version__}


@cache
def source_hash(engine: str, path: Path | None = None) -> str:
    """Hash of the sources an engine runs on: its own packages and, for exact and cost parts, the claim's file."""
    root = Path(rlnorm.__file__).parent
    files = sorted(p for name in SOURCES[engine] for p in [root / name, *root.glob(f"{name}/**/*.py")])
    found = hashlib.sha256()
    for file in [*files, *([path] if path else [])]:
        if file.is_file():
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:20]


def training_unit(
    engine: str, settings: Mapping[str, Any], seeds: Sequence[int], rates: Sequence[float], steps: int, label: str
) -> Unit:
    """A unit of a training engine with every default filled in and the choice between eager and compiled made."""
    members = {"seeds": tuple(seeds), "rates": tuple(rates), "steps": steps}
    bound = inspect.signature(TRAINING[engine].train).bind(**members, **settings)
    bound.apply_defaults()
    resolved = {name: value for name, value in bound.arguments.items() if name not in members}
    resolved["compile"] = TRAINING[engine].updates(steps, resolved) >= COMPILE_FROM and compiling.available()
    return Unit(engine, resolved, tuple(seeds), tuple(rates), steps, label)


@dataclass(frozen=True)
class Need:
    """What an arm needs: the units that choose its rate, and those that judge it (None: its rate is not yet chosen)."""

    select: tuple[Unit, ...]
    judge: tuple[Unit, ...] | None
    rate: float | None


def arm_need(
    what: str, part: Effect, arm: str, preset: Preset, seeds: int, choose: Callable[[Effect, Unit], float | None]
) -> Need:
    """The units of one arm of a part that `what` names. `choose(part, selection unit)` gives the best rate, or None while it is not finished."""
    settings = {**part.experiment.settings, **part.arms[arm]}
    common = settings.pop("lr")
    assert isinstance(common, float)
    engine, steps = part.experiment.engine, part.experiment.steps[preset]
    judged = range(FIRST_JUDGED, FIRST_JUDGED + seeds)

    def block(seeds: Sequence[int], rates: Sequence[float], note: str) -> Unit:
        """Every seed at every rate."""
        members = [(seed, rate) for seed in seeds for rate in rates]
        return training_unit(
            engine,
            settings,
            [seed for seed, _ in members],
            [rate for _, rate in members],
            steps,
            f"{what}: {arm}{note}",
        )

    if part.grid:
        return Need((), (block(judged, part.rates, f", {len(part.rates)} rates"),), None)
    select: tuple[Unit, ...] = ()
    rate: float | None = common
    if part.rates:
        select = (block(SELECTION, part.rates, f", choosing among {len(part.rates)} rates"),)
        rate = choose(part, select[0])
    if rate is None:
        return Need(select, None, None)
    blocks = [judged[i : i + BLOCK] for i in range(0, seeds, BLOCK)]
    return Need(select, tuple(block(each, [rate], f", seeds {each[0]}-{each[-1]}") for each in blocks), rate)
