"""Modules loaded from a file that is given by its path: a user's claim, a user's norm."""

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from rlnorm.errors import ConfigError


def load_module(path: Path, name: str, kind: str, ending: str) -> ModuleType:
    """The module in the file `path`, known as `name`; a module already loaded from that file is used again.

    `kind` and `ending` are for the errors: a "claim" file ends in "CLAIM = Claim(...)". Raises ConfigError where there
    is no such file or it does not import.
    """
    if not path.is_file():
        raise ConfigError(f"no {kind} file at {str(path)!r}; expected a Python file that ends in {ending}.")
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} is not a Python file; expected one that ends in {ending}.")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses and pickles look the module up by name while it runs.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, ConfigError):
            raise
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
        where = f" in line {lines[-1]}" if lines else ""
        said = f"{type(error).__name__}{where}: {str(error).rstrip('.')}"
        raise ConfigError(f"{str(path)!r} does not import: {said}.") from error
    return module
