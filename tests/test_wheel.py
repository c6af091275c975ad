"""The built wheel, installed in an empty environment, does the main job. Needs a package index; takes a minute."""

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: object, folder: Path) -> str:
    """Its standard output; what it said where it failed."""
    # Nothing of this checkout or its environment may help.
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env={**clean, "COLUMNS": "80"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    run(sys.executable, "-m", "pip", "wheel", *options, ".", folder=ROOT)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.install
def test_holds_everything_the_package_has_and_nothing_else(wheel: Path):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rlnorm").rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert {Path(name).suffix for name in packed} >= {".py", ".html", ".css"}
    assert "rlnorm/claims/dqn_ln.py" in packed


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder that is gone afterwards: an environment is too big to be kept, as pytest would."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@pytest.mark.install
def test_installs_and_runs_in_an_empty_environment(wheel: Path, tmp_path: Path):
    venv.create(tmp_path / "env", with_pip=True)
    python, rlnorm = (tmp_path / "env" / "bin" / name for name in ("python", "rlnorm"))
    run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, folder=tmp_path)
    where = run(python, "-c", "import rlnorm; print(rlnorm.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(tmp_path / "env")
    assert "dqn-ln  (effect; N0)" in run(rlnorm, "list", folder=tmp_path)
    options = ["--env", "CartPole-v1", "--norms", "none,layer", "--seeds", 2, "--steps", 1_200, "--out", "out"]
    said = run(rlnorm, "train", *options, folder=tmp_path)
    assert "[2/2] finished: train-cartpole-v1-none-layer" in said
    (overall, part) = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    assert (overall["part"], part["part"], part["n"], part["steps"]) == ("overall", "layer against none", 2, 1_200)
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[minatar]", folder=tmp_path)
    options[1], options[-1] = "MinAtar/Breakout-v1", "games"
    assert "[2/2] finished" in run(rlnorm, "train", *options, folder=tmp_path)
