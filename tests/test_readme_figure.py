"""The picture of the README has a line per norm, and is not drawn of runs that are missing."""

from pathlib import Path

import pytest
import readme_figure
import tiny

from rlnorm.errors import ConfigError
from rlnorm.study.claim.load import shipped
from rlnorm.study.plan import Request
from rlnorm.study.run import Store


def test_the_picture_has_a_line_per_norm(tmp_path: Path):
    store = Store(tmp_path)
    for unit in tiny.units([Request(shipped()[name], "quick") for name in readme_figure.CLAIMS], store):
        scores = [9.0] * len(unit.seeds)
        row = {"error": 0.0, "return": scores, "diverged": [False] * len(scores), "final_return": scores}
        store.write(unit, [{**row, "step": step} for step in (1, 2)], lambda: 0.0)
    readme_figure.main(tmp_path, tmp_path / "picture.svg")
    picture = (tmp_path / "picture.svg").read_text()
    assert [f"{name} (n = 16)" in picture for name in readme_figure.NAMES.values()] == [True] * 3


def test_missing_runs_are_reported_with_the_command_that_makes_them(tmp_path: Path):
    with pytest.raises(ConfigError, match="expected all of `rlnorm run dqn-ln dqn-bn --preset quick --out"):
        readme_figure.main(tmp_path, tmp_path / "picture.svg")
    assert list(tmp_path.iterdir()) == []
