"""Two studies side by side."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from studies import dqn_claim, exact_claim, study

from rlnorm.errors import ConfigError
from rlnorm.study.judge import StudyResult
from rlnorm.study.report import compare, verdicts
from rlnorm.study.report.terminal import plain


def written(folder: Path, result: StudyResult) -> Path:
    verdicts.write(result, folder)
    return folder


def test_parts_that_both_have_stand_side_by_side_with_what_differs(tmp_path: Path):
    one = dqn_claim()
    first, second = one.parts
    judged = replace(second.verdict.judgement, outcome="refuted", low=0.5, high=0.6, estimate=0.55)
    changed = replace(second, verdict=replace(second.verdict, judgement=judged, preset="full"))
    other = replace(one, parts=(first, changed))
    a, b = written(tmp_path / "a", study(one, exact_claim())), written(tmp_path / "b", study(other))
    text = plain(compare.table(a, b), 160)
    line = next(line for line in text.splitlines() if "own best rate" in line)
    assert "inconclusive" in line
    assert "refuted 0.550" in line
    assert line.endswith("quick / full, verdict differs,") or "intervals apart" in text
    assert next(line for line in text.splitlines() if "common rate" in line).endswith("same")
    assert f"3 parts in both, 1 with another verdict; 2 parts in {a} alone, 0 parts in {b} alone." in " ".join(
        text.split()
    )


def test_a_folder_without_verdicts_or_with_damaged_ones_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"holds no verdicts\.json; `rlnorm report"):
        compare.verdicts(tmp_path)
    for damaged in ("[", json.dumps([{"claim": "x"}]), "3"):
        (tmp_path / "verdicts.json").write_text(damaged)
        with pytest.raises(ConfigError, match="damaged"):
            compare.verdicts(tmp_path)
