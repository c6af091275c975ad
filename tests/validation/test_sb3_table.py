from pathlib import Path

import pytest

from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.run import Store
from rlnorm.validation.sb3_table import ALGORITHMS, ENVIRONMENTS, NORMS, ROWS, page, units


def test_every_row_is_there_once_and_can_be_run():
    assert {(row.env, row.algorithm, row.norm) for row in ROWS} == {
        (env, algorithm, norm) for env in ENVIRONMENTS for algorithm in ALGORITHMS for norm in NORMS
    }
    assert len(ROWS) == 16
    for row in ROWS:
        (unit,) = row.units(1)
        assert list(TRAINING["sb3"].errors(**unit.settings, seeds=unit.seeds, rates=unit.rates, steps=unit.steps)) == []


def test_seeds_are_units_of_their_own_and_arms_share_their_rate():
    planned = units(3)
    assert len({unit.id for unit in planned}) == len(planned) == 48
    assert [unit.seeds for unit in planned] == [(seed,) for seed in range(3) for _ in ROWS]
    for env in ENVIRONMENTS:
        assert len({unit.rates for unit in planned if unit.settings["env"] == env}) == 1


def test_the_page_has_means_intervals_and_every_seed(tmp_path: Path):
    store = Store(tmp_path)
    for unit in units(2):
        random, solved = (22.3, 475.0) if unit.settings["env"] == "CartPole-v1" else (-182.1, 200.0)
        value = solved if unit.seeds == (1,) else random
        bad = unit.seeds == (1,) and unit.settings["norm"] == "batch"
        record = {"return": [value], "diverged": [bad], "final_return": [100.0 + unit.seeds[0]]}
        store.write(unit, [{"step": i, **record} for i in (1, 2)], lambda: 0.0)
    text = page(2, store, "0123abc", "python scripts/sb3_table.py --seeds 2")
    rows = [line for line in text.splitlines() if line.startswith("| CartPole-v1 | QR-DQN | layer |")]
    assert len(rows) == 2
    assert rows[0].startswith("| CartPole-v1 | QR-DQN | layer | 0.500 [")
    assert rows[0].endswith("| 0 |")
    assert rows[1] == "| CartPole-v1 | QR-DQN | layer | 0.000/100 1.000/101 |"
    (diverged, _) = (line for line in text.splitlines() if line.startswith("| LunarLander-v3 | DQN | batch |"))
    assert diverged.startswith("| LunarLander-v3 | DQN | batch | 0.000 [")
    assert diverged.endswith("| 1 |")
    assert "commit 0123abc" in text


@pytest.mark.parametrize("word", ["learning rate 0.0023", "learning rate 0.00063", "never tuned", "95 % intervals"])
def test_the_page_says_how_it_was_made(word: str, tmp_path: Path):
    store = Store(tmp_path)
    for unit in units(1):
        store.write(unit, [{"step": 1, "return": [0.0], "diverged": [False], "final_return": [0.0]}], lambda: 0.0)
    assert word in " ".join(page(1, store, None, "command").split())
