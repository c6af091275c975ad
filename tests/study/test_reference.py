from pathlib import Path

import pytest

from rlnorm.study.assess import setting_errors
from rlnorm.study.claim import DQN, PRESETS, Arm
from rlnorm.study.reference import REFERENCES, reference_units, setting_table, setting_unit, table
from rlnorm.study.store import Store


@pytest.mark.parametrize("name", REFERENCES)
def test_the_engine_takes_every_reference(name: str):
    one = REFERENCES[name]
    experiment = DQN(steps=dict.fromkeys(PRESETS, one.steps), **one.settings, lr=one.rate)
    assert list(setting_errors(experiment, {"reference": Arm()}, one.steps)) == []


def test_seeds_come_in_blocks_at_the_published_rate():
    (name, one), *_ = REFERENCES.items()
    units = reference_units(name, 10)
    assert [unit.seeds for unit in units] == [tuple(range(8)), (8, 9)]
    assert {rate for unit in units for rate in unit.rates} == {one.rate}
    assert {unit.steps for unit in units} == {one.steps}


def test_the_table_holds_the_published_score_beside_ours(tmp_path: Path):
    store = Store(tmp_path)
    for name in REFERENCES:
        for unit in reference_units(name, 2):
            rows = [{"step": i, "return": [float(i), 2.0 * i], "diverged": [False, i == 20]} for i in range(1, 21)]
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [480.0, 500.0]}], lambda: 0.0)
    text = table(2, store, "0123abc", "python scripts/reference.py")
    row = next(line for line in text.splitlines() if line.startswith("| CleanRL"))
    assert "| 500,000 | 2 | 490.0 ± 14.1 | 480 500 | 29.2 ± 13.8 | 1 | 488.69 ± 16.11 (3 seeds" in row
    assert "commit 0123abc" in text


def test_the_table_of_settings_has_a_row_per_rate(tmp_path: Path):
    store, unit = Store(tmp_path), setting_unit("CartPole-v1", 100, (1e-3, 1e-2), {"starts": 10})
    assert unit.seeds == (*range(8), *range(8))
    assert unit.rates == (*(1e-3,) * 8, *(1e-2,) * 8)
    low, high = 22.3, 475.0
    record = {"return": [low] * 8 + [high] * 8, "diverged": [False] * 15 + [True], "final_return": [100.0] * 16}
    store.write(unit, [{"step": i, **record} for i in (50, 100)], lambda: 0.0)
    rows = setting_table(unit, store).splitlines()[2:]
    assert rows == ["| 0.001 | 0.000 ± 0.000 | 100 ± 0 | 0 |", "| 0.01 | 0.875 ± 0.354 | 90 ± 27 | 1 |"]
