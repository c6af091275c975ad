"""Records in tidy form: every number once, with what it belongs to."""

import csv
import json
import sys
from pathlib import Path

import pytest

from rlnorm.errors import ConfigError
from rlnorm.study.report import export

TRAINED = {
    "unit": "ab", "label": "c, p: a, seeds 8-9", "engine": "dqn", "settings": {"env": "E", "norm": "layer"},
    "seeds": [8, 9], "lrs": [0.1, 0.2], "steps": 10,
}  # fmt: skip
RECORD = {
    "step": 5,
    "epsilon": 0.5,
    "return": [1.5, None],
    "diverged": [False, True],
    "probes": {"norm1": {"gap": [1, 2]}},
    "snapshot": {"norm1": {"gamma": {"min": 1, "max": 1, "counts": [4]}}},
}


def folder(path: Path) -> Path:
    """A study of a trained unit of two runs and of an exact and a cost one."""
    (path / "units").mkdir()
    lines = [TRAINED, RECORD, {"end": True, "seconds": 1.0}]
    (path / "units" / "ab.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    head = {"unit": "cd", "label": "정규화", "engine": "exact", "settings": {}, "seeds": [0], "lrs": [], "steps": 1}
    lines = [head, {"step": 1, "seconds": {"a": 0.1}, "error": 0.2}, {"end": True, "seconds": 1.0}]
    (path / "units" / "cd.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def test_every_number_is_a_line(tmp_path: Path):
    assert export.to_csv(folder(tmp_path), tmp_path / "out.csv") == 9
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert tuple(found[0]) == export.COLUMNS
    told = {(row["unit"], row["seed"], row["name"]): row["value"] for row in found}
    assert told == {
        ("ab", "", "epsilon"): "0.5", ("ab", "8", "return"): "1.5", ("ab", "9", "return"): "",
        ("ab", "8", "diverged"): "0", ("ab", "9", "diverged"): "1",
        ("ab", "8", "norm/norm1/gap"): "1", ("ab", "9", "norm/norm1/gap"): "2",
        ("cd", "", "seconds/a"): "0.1", ("cd", "", "error"): "0.2",
    }  # fmt: skip
    assert [row["rate"] for row in found if row["name"] == "return"] == ["0.1", "0.2"]
    assert {row["label"] for row in found} == {TRAINED["label"], "정규화"}


def test_a_damaged_unit_is_said_and_nothing_written(tmp_path: Path):
    (folder(tmp_path) / "units" / "ef.jsonl").write_text("{}\nnothing\n")
    with pytest.raises(ConfigError, match=r"ef\.jsonl' is damaged"):
        export.to_csv(tmp_path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_parquet_without_pyarrow_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="--parquet needs pyarrow, which is not installed"):
        export.to_parquet(folder(tmp_path), tmp_path / "out.parquet")
