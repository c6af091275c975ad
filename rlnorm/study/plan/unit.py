"""A unit of work and its identity.

A unit is one arm x one block of seeds at one budget. Its id is a hash of everything that decides its rows: engine,
settings with defaults filled in, seeds, rates, budget, the code that is run (`sources.py`) and that of the environment,
the versions of Python and of the libraries, eager or compiled. The claim is not part of it: claims share arms, and a
finished unit serves all.
"""

import hashlib
import json
import platform
import runpy
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rlnorm import compiling
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.plan.sources import code_hash, environment_code, package_folder
from rlnorm.tasks.environments import BACKENDS

COMPILE_FROM = 2000  # updates; below, compiling takes longer than it saves
# What computes the rows of parts that no training engine runs, beside the claim's own file.
COMPUTED_BY: Mapping[str, str] = {"exact": "rlnorm.study.run.exact", "cost": "rlnorm.study.run.timing"}


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work, restarted whole if it dies. Member i is (seeds[i], rates[i]).

    settings  everything the engine is given, defaults filled in
    declared  settings as written in the claim, before defaults; None: the same as `settings`
    files     files whose code decides the rows too: the claim's (first, for exact and cost parts), a user's norm
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
        """Hash of what is asked, whatever version of the code answers it."""
        return digest(self._body(self.settings if self.declared is None else self.declared))

    @cached_property
    def id(self) -> str:
        """Hash of everything that decides the rows."""
        return digest({**self._body(self.settings), **self._made_by()})

    @property
    def records(self) -> int:
        """About how many records the unit comes to."""
        if self.engine not in TRAINING:
            return self.steps
        from rlnorm.population import RECORDS  # imports torch, which units that train nothing do without

        every = self.settings.get("every")
        return max(1, self.steps // every) if every else RECORDS

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
        libraries = TRAINING[self.engine].libraries if self.engine in TRAINING else ()
        libraries = (*libraries, *BACKENDS.get(self.settings.get("environments", ""), ()))
        root = TRAINING[self.engine].module if self.engine in TRAINING else COMPUTED_BY[self.engine]
        known = {**versions(), **{name: library_version(name) for name in libraries}}
        made_by: dict[str, object] = {"versions": known, "sources": code_hash((root, *self.files))}
        environment = environment_code(str(self.settings["env"])) if "env" in self.settings else {}
        return {**made_by, "environment": environment} if environment else made_by


def like(engine: str, settings: Mapping[str, Any]) -> tuple[object, ...]:
    """What time and memory of a unit hang on, as far as it can be told: engine and task; of other parts the part."""
    names = ("env", "dataset", "norm", "compile") if engine in TRAINING else ("claim", "part")
    return (engine, *(str(settings.get(name)) for name in names))


def question_of(header: Mapping[str, Any]) -> str:
    """The question that a stored header answers. Older headers of exact and cost parts hashed their file's text too."""
    if header["engine"] in TRAINING:
        return header["question"]
    return digest({name: header[name] for name in ("engine", "settings", "seeds", "lrs", "steps")})


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


def _without_folder(value: object) -> object:
    """A user's file by its name alone: where it lies decides nothing."""
    return Path(value).name if isinstance(value, str) and value.endswith(".py") else value


def digest(value: object) -> str:
    """Hash of JSON-able data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that every row depends on."""
    return {
        "python": platform.python_version(),
        "torch": _torch_version(),
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
    }


def _torch_version() -> str:
    """`torch.__version__` without importing torch; the distribution's metadata may lack the build: "+cpu"."""
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return runpy.run_path(str(Path(spec.origin).with_name("version.py")))["__version__"]


@cache
def library_version(library: str) -> str:
    """The version of an installed distribution; empty where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(library)
    return ""


@cache
def commit() -> str | None:
    """The commit of the checkout that the package runs from, "-dirty" with changes; None outside of one."""
    command = ["git", "-C", str(package_folder()), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
