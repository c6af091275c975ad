"""Results in Python: short where they are printed, a table in a notebook, rows of a data frame."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from studies import EVIL, dqn_claim, exact_claim, relu_claim, study

from rlnorm.errors import ConfigError
from rlnorm.study.report import verdicts
from rlnorm.study.report.notebook import CURVES, RUNS, Results

RESULTS = Results.of(study(dqn_claim(), relu_claim(), exact_claim()))


def frame(monkeypatch: pytest.MonkeyPatch, what: str) -> list[dict[str, Any]]:
    """The rows that pandas is given, which need not be installed here."""

    def made(data: list[Any], columns: list[str]) -> list[dict[str, Any]]:
        return [dict(zip(columns, row, strict=True)) for row in data]

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=made))
    return RESULTS.to_frame(what)


def test_what_is_printed_is_short():
    lines = repr(RESULTS).splitlines()
    assert len(lines) < 15
    assert max(map(len, lines)) <= 80
    assert "In DQN layer normalization" in repr(RESULTS)


def test_a_notebook_shows_a_line_a_claim_and_escapes_it():
    shown = RESULTS._repr_html_()
    assert shown.count("<tr>") == 1 + 3
    assert "points to refuted" in shown
    assert "Preview: preset" in shown
    evil = dqn_claim()
    object.__setattr__(evil.claim, "title", EVIL)
    assert "<script>" not in Results.of(study(evil))._repr_html_()


def test_verdicts_are_rows_without_what_is_nested(monkeypatch: pytest.MonkeyPatch):
    rows = frame(monkeypatch, "verdicts")
    assert [row["part"] for row in rows] == [row["part"] for row in verdicts.rows(RESULTS)]
    assert set(rows[0]) >= {*verdicts.FIELDS, "question", "preview", "command"}
    assert not {"arms", "settings", "versions"} & set(rows[0])


def test_runs_and_curves_are_tidy(monkeypatch: pytest.MonkeyPatch):
    runs = frame(monkeypatch, "runs")
    assert list(runs[0]) == list(RUNS)
    assert len(runs) == 2 * 2 * 16 + 3 * 16
    one = next(row for row in runs if (row["arm"], row["seed"]) == ("layer", 23))
    assert (one["score"], one["diverged"], one["metric"]) == (0.0, True, "return_auc")
    curves = frame(monkeypatch, "curves")
    assert list(curves[0]) == list(CURVES)
    assert {row["name"] for row in curves} >= {"return", "loss", "test_accuracy", "norm/norm1/mean_gap"}


def test_another_name_or_no_pandas_is_said(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"unknown frame 'run'\. Did you mean 'runs'\?"):
        RESULTS.to_frame("run")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="to_frame needs pandas, which is not installed"):
        RESULTS.to_frame()
