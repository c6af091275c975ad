import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import Run

from rlnorm import cli

torch.set_num_threads(1)

LIBRARIES_OWN = (
    "ignore:.*should not be instantiated:DeprecationWarning",  # Dynamo, tracing any autograd.Function
    "ignore:.*torch.jit.script:DeprecationWarning",  # torch's decompositions, first use of forward mode
    "ignore:builtin type .* has no __module__:DeprecationWarning",  # Box2D's import, which crashes if this is an error
)


def pytest_configure(config: pytest.Config) -> None:
    for line in LIBRARIES_OWN:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered for a user is, in tests, remembered elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def rlnorm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`rlnorm ...` in this process and an empty folder -> exit code, standard output, lines of standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["rlnorm", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        told = capsys.readouterr()
        return code, told.out, told.err.splitlines()

    return run
