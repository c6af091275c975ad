"""The engine under published settings, beside the published scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from rlnorm.errors import raise_if_any
from rlnorm.study.claim import Experiment
from rlnorm.study.claim.dqn_setting import DQN_STUDY
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import diverged_at, series
from rlnorm.study.claim.validate import setting_errors
from rlnorm.study.judge.assess import commits
from rlnorm.study.plan import SELECTION, Unit, training_unit
from rlnorm.study.report import markdown, wording
from rlnorm.study.run import Store


@dataclass(frozen=True)
class Reference:
    """Published settings, the budget, and the score that was published for them (mean and what it was taken over)."""

    settings: Mapping[str, object]
    steps: int
    rate: float
    published: str


# rl-zoo3's DQN settings share these; the network and the clip are what its version of stable-baselines3 has.
_ZOO: Mapping[str, object] = {"hidden": (256, 256), "loss": "huber", "clip": 10.0, "recipe": "sb3"}
_ACROBOT: Mapping[str, object] = {
    **_ZOO,
    "batch": 128,
    "buffer": 50_000,
    "starts": 0,
    "train_every": 4,
    "updates": 4,
    "target_every": 250,
    "epsilon": (1.0, 0.1, 0.12),
}
REFERENCES: Mapping[str, Reference] = {
    "CleanRL dqn.py, CartPole-v1": Reference(
        settings={
            "env": "CartPole-v1",
            "hidden": (120, 84),
            "batch": 128,
            "buffer": 10_000,
            "starts": 10_000,
            "train_every": 10,
            "target_every": 500,
            "epsilon": (1.0, 0.05, 0.5),
            "loss": "squared",
        },
        steps=500_000,
        rate=2.5e-4,
        published="488.69 ± 16.11 (3 seeds)",
    ),
    "rl-zoo3 dqn, CartPole-v1": Reference(
        settings={
            **_ZOO,
            "env": "CartPole-v1",
            "batch": 64,
            "buffer": 100_000,
            "starts": 1_000,
            "train_every": 256,
            "updates": 128,
            "target_every": 10,
            "epsilon": (1.0, 0.04, 0.16),
        },
        steps=50_000,
        rate=2.3e-3,
        published="500 ± 0 (episodes of one run)",
    ),
    "rl-zoo3 dqn, Acrobot-v1": Reference(
        settings={**_ACROBOT, "env": "Acrobot-v1"},
        steps=100_000,
        rate=6.3e-4,
        published="-76.64 ± 11.75 (episodes of one run)",
    ),
    "rl-zoo3 dqn, MountainCar-v0": Reference(
        settings={
            **_ZOO,
            "env": "MountainCar-v0",
            "discount": 0.98,
            "batch": 128,
            "buffer": 10_000,
            "starts": 1_000,
            "train_every": 16,
            "updates": 8,
            "target_every": 600,
            "epsilon": (1.0, 0.07, 0.2),
        },
        steps=120_000,
        rate=4e-3,
        published="-100.85 ± 9.93 (episodes of one run)",
    ),
    "rl-zoo3 dqn, LunarLander-v3": Reference(
        settings={**_ACROBOT, "env": "LunarLander-v3"},
        steps=100_000,
        rate=6.3e-4,
        published="154.38 ± 79.24 (LunarLander-v2, episodes of one run)",
    ),
}
BLOCK = 8


def reference_units(name: str, seeds: int) -> list[Unit]:
    """Blocks of 8 seeds of one reference."""
    one = REFERENCES[name]
    blocks = [range(first, min(first + BLOCK, seeds)) for first in range(0, seeds, BLOCK)]
    return [
        training_unit(
            "dqn", one.settings, block, [one.rate] * len(block), one.steps, f"{name}, seeds {block[0]}-{block[-1]}"
        )
        for block in blocks
    ]


def units(seeds: int) -> list[Unit]:
    """Those of every reference."""
    return [unit for name in REFERENCES for unit in reference_units(name, seeds)]


def page(seeds: int, store: Store, commit: str | None, command: str) -> str:
    """A Markdown page of every reference: greedy return over the seeds beside the published score."""
    made = (
        f"Command: `{command}`; {wording.commits(commits(units(seeds), store.find), commit)}. Greedy return: mean of "
        "20 episodes at the last step, then mean and standard deviation over seeds. Training return: mean over the "
        "last tenth of the budget."
    )
    heads = ("settings", "steps", "seeds", "greedy return", "per seed", "training return", "diverged", "published")
    rows = (_row(name, one, seeds, store) for name, one in REFERENCES.items())
    lines = ["# The engine under published settings", "", fill(made, markdown.WIDTH), "", *markdown.table(heads, rows)]
    return "\n".join(lines) + "\n"


def _row(name: str, one: Reference, seeds: int, store: Store) -> Iterator[object]:
    finals, training, diverged = list[float](), list[float](), 0
    for unit in reference_units(name, seeds):
        records = store.read(unit).records
        for member in range(len(unit.seeds)):
            finals.append(series(records, "final_return", member)[-1])
            training.append(float(np.nanmean(series(records[-len(records) // 10 :], "return", member))))
            diverged += diverged_at(records, member) < len(records)
    yield from (name, f"{one.steps:,}", seeds, _spread(finals), " ".join(f"{x:.0f}" for x in finals))
    yield from (_spread(training), diverged, one.published)


def setting_unit(env: str, steps: int, rates: Sequence[float], changes: Mapping[str, object]) -> Unit:
    """Plain DQN under the study setting, with `changes`, at every rate on the selection seeds.

    Raises ConfigError with every error at once.
    """
    settings = {**DQN_STUDY, "env": env, **changes}
    raise_if_any(setting_errors(Experiment("dqn", {}, settings), {"none": {}}, steps, rates))
    settings.pop("lr")
    members = [(seed, rate) for rate in rates for seed in SELECTION]
    return training_unit("dqn", settings, [s for s, _ in members], [r for _, r in members], steps, f"{env}, setting")


def setting_table(unit: Unit, store: Store) -> str:
    """A Markdown table of a finished `setting_unit`: one row a rate, mean and standard deviation over seeds."""
    records, rows = store.read(unit).records, list[tuple[object, ...]]()
    for first in range(0, len(unit.seeds), len(SELECTION)):
        runs = range(first, first + len(SELECTION))
        score, final = (
            [METRICS[name].score(records, unit.settings, i) for i in runs] for name in ("return_auc", "final_return")
        )
        diverged = sum(diverged_at(records, i) < len(records) for i in runs)
        rows.append((f"{unit.rates[first]:g}", _spread(score, 3), _spread(final, 0), diverged))
    return "\n".join(markdown.table(("learning rate", "score", "final greedy return", "diverged"), rows)) + "\n"


def _spread(values: Sequence[float], digits: int = 1) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
