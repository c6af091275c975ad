"""Claims are found by listing a folder, or given by path: one file each, its id the file's name."""

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
    """A claim and the file that declares it (None: a question of one's own); exact parts depend on that file's text.

    `own`: the claim lives outside the package and is asked for by its path.
    """

    id: str
    claim: Claim
    path: Path | None
    own: bool = False

    @property
    def name(self) -> str:
        """What to type to mean this claim."""
        return str(self.path) if self.own else self.id


def _load(path: Path, package: str) -> ModuleType:
    name = f"{package}.{path.stem}" if package else f"rlnorm_claim_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} is not a Python file; expected one that ends in CLAIM = Claim(...).")
    module = importlib.util.module_from_spec(spec)
    # Known by name while it runs, so that its dataclasses find themselves.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{str(path)!r} does not import: {type(error).__name__}: {error}.") from error
    return module


def load(path: Path, package: str = "", own: bool = False) -> Found:
    """The claim that `path` declares as `CLAIM`, loaded as a module of `package` (none: on its own).

    Raises ConfigError where there is no such file, it does not import, or it declares no claim.
    """
    if not path.is_file():
        raise ConfigError(f"no claim file at {str(path)!r}; expected a Python file that ends in CLAIM = Claim(...).")
    claim = getattr(_load(path, package), "CLAIM", None)
    if not isinstance(claim, Claim):
        raise ConfigError(f"{str(path)!r} declares no claim; expected it to end in CLAIM = Claim(...), got {claim!r}.")
    return Found(path.stem.replace("_", "-"), claim, path, own)


def find(folder: Path, package: str = "") -> Mapping[str, Found]:
    """All claims of a folder by id, in alphabetical order; files that begin with an underscore are helpers."""
    paths = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return {found.id: found for found in (load(path, package) for path in paths)}


def by_path(path: str | Path) -> Found:
    """A claim of one's own, from the file of that path. Raises ConfigError as `load` does."""
    return load(Path(path).absolute(), own=True)
