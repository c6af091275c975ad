"""Rows for programs: each says what was asked, what came out and what made it, and older files are still read."""

import json
from pathlib import Path

import pytest
from studies import dqn_claim, exact_claim, study

from rlnorm.errors import ConfigError
from rlnorm.study.report import verdicts

ROWS = verdicts.rows(study(dqn_claim(), exact_claim()))


def test_every_row_stands_alone():
    assert len({tuple(row) for row in ROWS}) == 1
    assert {row["schema"] for row in ROWS} == {verdicts.SCHEMA}
    overall, common, _, exact, formula = ROWS
    assert common["question"] == "Is “layer” not better than “none” by 0.05?"
    assert (common["asks"], common["scale"], common["level"]) == ("not better", "difference", 0.95)
    assert (common["preview"], overall["preview"], exact["preview"]) == (True, True, False)
    assert common["arms"]["none"].keys() >= {"n", "mean", "low", "high", "iqm", "diverged", "rate"}
    assert common["settings"]["common"]["env"] == "CartPole-v1"
    assert common["settings"]["arms"]["layer"] == {"norm": "layer", "hidden": [64, 64, 64]}
    assert common["reason"].startswith("normalized return, layer minus none is")
    assert (common["computed"], common["commit"][:4], common["versions"]["torch"]) == (
        [],
        "0123",
        "2.13.0",
    )
    assert (formula["question"], formula["scale"], formula["settings"]) == ("a = b", "error", {})
    assert overall["question"] == dqn_claim().claim.statement


def test_what_is_written_is_read_back_and_so_are_rows_of_schema_1(tmp_path: Path):
    verdicts.write(study(dqn_claim()), tmp_path)
    assert verdicts.read(tmp_path) == json.loads((tmp_path / "verdicts.json").read_text())
    old = [{field: ROWS[0][field] for field in verdicts.FIELDS}]
    (tmp_path / "verdicts.json").write_text(json.dumps(old))
    assert verdicts.read(tmp_path) == old


def test_rows_of_a_later_version_are_refused(tmp_path: Path):
    (tmp_path / "verdicts.json").write_text(json.dumps([{**ROWS[0], "schema": 3}]))
    with pytest.raises(ConfigError, match="of schema 3, and this version of rlnorm reads up to 2"):
        verdicts.read(tmp_path)
