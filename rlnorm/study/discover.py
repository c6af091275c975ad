"""Claims are found by listing a folder: one file each, its id the file's name."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rlnorm.errors import ConfigError
from rlnorm.study.claim import Claim


@dataclass(frozen=True)
class Found:
    """A claim and the file that declares it (None: a question of one's own); exact parts depend on that file's text."""

    id: str
    claim: Claim
    path: Path | None


def _load(path: Path) -> ModuleType:
    name = f"rlnorm.claims.{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load(path: Path) -> Found:
    """The claim that `path` declares as `CLAIM`. Raises ConfigError where it declares none."""
    claim = getattr(_load(path), "CLAIM", None)
    if not isinstance(claim, Claim):
        raise ConfigError(f"{path} declares no claim: expected `CLAIM = Claim(...)`, got {claim!r}.")
    return Found(path.stem.replace("_", "-"), claim, path)


def find(folder: Path) -> Mapping[str, Found]:
    """All claims of a folder by id, in alphabetical order; files that begin with an underscore are helpers."""
    paths = sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))
    return {found.id: found for found in map(load, paths)}
