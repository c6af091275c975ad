from pathlib import Path

import pytest

from rlnorm.study.claim import PRESETS, dqn_experiment
from rlnorm.study.claim.validate import setting_errors
from rlnorm.study.run import Store
from rlnorm.validation.published import REFERENCES, page, reference_units, setting_table, setting_unit, units


@pytest.mark.parametrize("name", REFERENCES)
def test_the_engine_takes_every_reference(name: str):
    one = REFERENCES[name]
    experiment = dqn_experiment(steps=dict.fromkeys(PRESETS, one.steps), **one.settings, lr=one.rate)
    assert list(setting_errors(experiment, {"reference": {}}, one.steps)) == []


# rl-baselines3-zoo, hyperparams/dqn.yml, where "-1 updates" are as many as steps; what it leaves open (gamma, the
# network's activation, one environment, clip 10, the Huber loss) is stable-baselines3's default. CleanRL, dqn.py.
HEADS = (
    *("env", "steps", "rate", "batch", "buffer", "starts", "discount", "target_every", "train_every", "updates"),
    *("epsilon", "hidden", "loss", "clip", "recipe"),
)
PUBLISHED = {
    "CleanRL dqn.py, CartPole-v1": (
        *("CartPole-v1", 500_000, 2.5e-4, 128, 10_000, 10_000, 0.99, 500, 10, 1),
        *((1.0, 0.05, 0.5), (120, 84), "squared", None, "supervised"),
    ),
    "rl-zoo3 dqn, CartPole-v1": (
        *("CartPole-v1", 50_000, 2.3e-3, 64, 100_000, 1_000, 0.99, 10, 256, 128),
        *((1.0, 0.04, 0.16), (256, 256), "huber", 10.0, "sb3"),
    ),
    "rl-zoo3 dqn, Acrobot-v1": (
        *("Acrobot-v1", 100_000, 6.3e-4, 128, 50_000, 0, 0.99, 250, 4, 4),
        *((1.0, 0.1, 0.12), (256, 256), "huber", 10.0, "sb3"),
    ),
    "rl-zoo3 dqn, MountainCar-v0": (
        *("MountainCar-v0", 120_000, 4e-3, 128, 10_000, 1_000, 0.98, 600, 16, 8),
        *((1.0, 0.07, 0.2), (256, 256), "huber", 10.0, "sb3"),
    ),
    "rl-zoo3 dqn, LunarLander-v3": (
        *("LunarLander-v3", 100_000, 6.3e-4, 128, 50_000, 0, 0.99, 250, 4, 4),
        *((1.0, 0.1, 0.12), (256, 256), "huber", 10.0, "sb3"),
    ),
}
ALL = {
    "optimizer": "adam",
    "activation": "relu",
    "norm": "none",
    "modes": None,
    "init": "torch",
    "init_scale": 1.0,
    "envs": 1,
    "collect": None,
    "double": False,
    "tau": 1.0,
    "reward_scale": 1.0,
    "normalize_observations": False,
}


def test_every_reference_is_published():
    assert set(PUBLISHED) == set(REFERENCES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_the_published_ones_defaults_included(name: str):
    (unit,) = reference_units(name, 1)
    found = {**unit.settings, "steps": unit.steps, "rate": unit.rates[0]}
    wanted = {**dict(zip(HEADS, PUBLISHED[name], strict=True)), **ALL}
    assert {key: found[key] for key in wanted} == wanted


def test_seeds_come_in_blocks_at_the_published_rate():
    (name, one), *_ = REFERENCES.items()
    units = reference_units(name, 10)
    assert [unit.seeds for unit in units] == [tuple(range(8)), (8, 9)]
    assert {rate for unit in units for rate in unit.rates} == {one.rate}
    assert {unit.steps for unit in units} == {one.steps}


def test_the_page_holds_the_published_score_beside_ours(tmp_path: Path):
    store = Store(tmp_path)
    for name in REFERENCES:
        for unit in reference_units(name, 2):
            rows = [{"step": i, "return": [float(i), 2.0 * i], "diverged": [False, i == 20]} for i in range(1, 21)]
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [480.0, 500.0]}], lambda: 0.0)
    text = page(2, store, "0123abc", "python scripts/reference.py")
    assert text.startswith("# The engine under published settings\n\nCommand: `python scripts/reference.py`;")
    row = next(line for line in text.splitlines() if line.startswith("| CleanRL"))
    assert "| 500,000 | 2 | 490.0 ± 14.1 | 480 500 | 29.2 ± 13.8 | 1 | 488.69 ± 16.11 (3 seeds" in row
    made = {store.read(unit).header["commit"] for unit in units(2)}
    assert f"rows computed at commit {', '.join(made)}, judged at 0123abc" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_the_table_of_settings_has_a_row_per_rate(tmp_path: Path):
    store, unit = Store(tmp_path), setting_unit("CartPole-v1", 100, (1e-3, 1e-2), {"starts": 10})
    assert unit.seeds == (*range(8), *range(8))
    assert unit.rates == (*(1e-3,) * 8, *(1e-2,) * 8)
    low, high = 22.3, 475.0
    record = {"return": [low] * 8 + [high] * 8, "diverged": [False] * 15 + [True], "final_return": [100.0] * 16}
    store.write(unit, [{"step": i, **record} for i in (50, 100)], lambda: 0.0)
    rows = setting_table(unit, store).splitlines()[2:]
    assert rows == ["| 0.001 | 0.000 ± 0.000 | 100 ± 0 | 0 |", "| 0.01 | 0.875 ± 0.354 | 90 ± 27 | 1 |"]
