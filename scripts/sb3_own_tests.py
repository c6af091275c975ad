"""Run stable-baselines3's own tests, or sb3-contrib's, with our policies, without a norm, in the place of theirs.

Their tests come with the source on the package index:

    pip download --no-binary :all: --no-deps stable-baselines3 && tar xzf stable_baselines3-*.tar.gz

python scripts/sb3_own_tests.py --folder stable_baselines3-2.9.2 --tests tests/test_run.py tests/test_cnn.py

docs/sb3.md says what comes of them.
"""

import os
import sys
from pathlib import Path

import pytest
import sb3_contrib
import stable_baselines3

import rlnorm.sb3
from rlnorm.cli import guarded
from rlnorm.errors import ConfigError
from rlnorm.sb3.policies import POLICIES
from rlnorm.validation.options import read, typed


def put_in_place() -> None:
    """Let ours stand for every name of a policy in the two libraries: in aliases as "MlpPolicy" and in modules."""
    ours: dict[object, type] = {}
    for name, policy in POLICIES.items():
        algorithm = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
        ours |= dict.fromkeys(algorithm.policy_aliases.values(), getattr(rlnorm.sb3, policy))
        algorithm.policy_aliases = dict.fromkeys(algorithm.policy_aliases, getattr(rlnorm.sb3, policy))
    for path, module in list(sys.modules.items()):
        for name, value in list(vars(module).items()) if path.startswith(("stable_baselines3", "sb3_contrib")) else ():
            # Library code that extends a policy names its base class, which has to stay.
            extended = ".common." in path and getattr(value, "__module__", path) != path
            if isinstance(value, type) and value in ours and not extended:
                setattr(module, name, ours[value])


def main(folder: Path, tests: tuple[str, ...] = ("tests",), theirs: bool = False) -> None:
    """Run the tests, and exit as pytest does.

    Args:
        folder: The unpacked source.
        tests: Files and folders in it. The variable PYTEST_ADDOPTS takes options of pytest.
        theirs: Leave their own policies in place, to see what fails with those.
    """
    if not (folder / "tests").is_dir():
        raise ConfigError(f"--folder: {str(folder)!r} has no folder tests; expected the unpacked source of a release.")
    if not theirs:
        put_in_place()
    os.chdir(folder)
    sys.exit(pytest.main(["-p", "no:cacheprovider", *tests]))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
