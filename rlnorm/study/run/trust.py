"""Which Python files may be run because a folder of results names them: those that were named here before.

A folder may come from anybody. Its study.json names files with claims and norms, and loading one runs it. So a file is
loaded on its behalf only if somebody on this machine once named it to `rlnorm run`, `rlnorm train` or the like, or says
`--trust`. The list lies outside of all such folders: $XDG_STATE_HOME/rlnorm/trusted, one path a line.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from rlnorm.files import locked, write_atomically


def code_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """The files that are run where an entry of study.json is asked again: its claim, its norms, its environment."""
    if entry.get("path"):
        yield os.path.realpath(entry["path"])
    recipe = entry.get("recipe") or {}
    yield from (os.path.realpath(norm) for norm in recipe.get("norms", ()) if norm.endswith(".py"))
    module, colon, _ = recipe.get("env", "").partition(":")
    package, installed = module.partition(".")[0], [folder for folder in sys.path if folder not in ("", os.getcwd())]
    if colon and package and not PathFinder.find_spec(package, installed):
        yield os.path.realpath(package)


def trusted() -> frozenset[str]:
    """What was named here before; nothing where that cannot be read."""
    with suppress(OSError, RuntimeError, UnicodeDecodeError):
        return frozenset(_list().read_text(encoding="utf-8").splitlines())
    return frozenset()


def trust(files: Iterable[str]) -> None:
    """Remember that these files were named. Without a folder for it, each has to be named anew."""
    new = set(files) - trusted()
    if new:
        with suppress(OSError, RuntimeError), locked(_list().parent):
            write_atomically(_list(), "".join(f"{path}\n" for path in sorted(trusted() | new)))


def _list() -> Path:
    """Raises RuntimeError where this user has no home."""
    state = os.environ.get("XDG_STATE_HOME")
    return Path(state or Path.home() / ".local" / "state") / "rlnorm" / "trusted"
