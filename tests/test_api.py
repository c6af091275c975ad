import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from rich.console import Console

import rlnorm
from rlnorm import api
from rlnorm.errors import ConfigError
from rlnorm.study.claim import load
from rlnorm.study.plan import Request
from rlnorm.study.report.notebook import Results
from rlnorm.study.run.history import asked_before

NORM = """
from torch import nn
from rlnorm.nn import Norm

class Half(nn.Module):
    def __init__(self, width):
        super().__init__()
    def forward(self, x):
        return x / 2

NORM = Norm("mynorm", modules={0: Half})
"""


def test_the_call_from_python_is_a_whole_study_wherever_it_stands(tmp_path: Path):
    """A program without `if __name__ == "__main__"`, that trains with a norm of its own, and then asks for nonsense."""
    (tmp_path / "mynorm.py").write_text(NORM)
    (tmp_path / "program.py").write_text(
        """
import sys, rlnorm
assert "torch" not in sys.modules, "import rlnorm is light"
options = dict(env="CartPole-v1", seeds=2, steps=1_200, out="out", jobs=2)
result = rlnorm.train(norms=["none", "mynorm.py"], **options)
print("RESULT", [(part.name, len(part.arms["mynorm"].scores)) for part in result.claims[0].parts])
try:
    rlnorm.train(norms=["none", "lyer"], **{**options, "out": "nothing", "jobs": 0})
except ValueError as error:
    print("ERROR", error)
"""
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "RESULT [('mynorm against none', 2)]" in done.stdout
    assert "ERROR arm lyer: unknown norm 'lyer'. Did you mean 'layer'?" in done.stdout
    assert "--jobs must be at least 1, got 0." in done.stdout
    assert done.stdout.count("finished: train-cartpole-v1-none-mynorm") == 2
    assert {row["n"] for row in json.loads((tmp_path / "out" / "verdicts.json").read_text())} == {None, 2}
    assert not (tmp_path / "nothing").exists()
    headers = [json.loads(path.read_text().split("\n", 1)[0]) for path in (tmp_path / "out" / "units").glob("*.jsonl")]
    assert {header["settings"]["norm"] for header in headers} == {"none", "mynorm.py"}


def test_bad_input_is_raised_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        rlnorm.train(env="Pendulum-v1", norms=["none", "lyer"], seeds=0, jobs=-1, out=tmp_path / "out")
    assert len(caught.value.sentences) == 4
    assert not (tmp_path / "out").exists()


def test_the_package_has_no_other_doors():
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        rlnorm.tarin  # noqa: B018
    assert rlnorm.train is api.train


def test_a_folder_keeps_what_was_asked_there(tmp_path: Path):
    console = Console(file=(tmp_path / "said").open("w"), width=80)
    for name in ("first", "second"):
        asked = Request(load.by_path(tiny.effect(tmp_path, name)), "smoke")
        result = api.ask([asked], tmp_path / "out", 1, console)
    assert [claim.id for claim in result.claims] == ["first", "second"]
    again = rlnorm.results(tmp_path / "out")
    assert repr(again) == repr(Results.of(result))
    assert len(repr(again).splitlines()) < 12
    (tmp_path / "first.py").unlink()
    with pytest.raises(ConfigError, match="claim 'first', asked here before, is left out"):
        rlnorm.results(tmp_path / "out")
    with pytest.raises(ConfigError, match="holds no study; expected a folder"):
        rlnorm.results(tmp_path)
    assert [one.id for one in asked_before(tmp_path / "out", {})[0]] == ["second"]
    api.ask([asked], tmp_path / "out", 1, console)
    console.file.close()
    assert "claim 'first', asked here before, is left out" in " ".join((tmp_path / "said").read_text().split())
