"""Norms inside stable-baselines3's DQN and sb3-contrib's QR-DQN: one table over environments and seeds.

A display, not a claim: no verdict is drawn from it. Every arm learns at the environment's one rate, which is rl-zoo3's
and was fixed beforehand, so that an arm which another rate would suit better is shown at a disadvantage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np

from rlnorm import stats
from rlnorm.sb3.train import QUANTILES
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import diverged_at
from rlnorm.study.plan import Unit, training_unit
from rlnorm.study.report.markdown import WIDTH, table
from rlnorm.study.run import Store

NORMS = ("none", "layer", "batch", "batch_renorm")
ALGORITHMS = {"dqn": "DQN", "qrdqn": "QR-DQN"}
SETTINGS: Mapping[str, object] = {
    "hidden": (64, 64),
    "loss": "huber",
    "clip": 10.0,
    "batch": 64,
    "buffer": 50_000,
    "starts": 1_000,
    "train_every": 10,
    "target_every": 500,
    "epsilon": (1.0, 0.05, 0.2),
    "envs": 10,
}
# steps, learning rate
ENVIRONMENTS: Mapping[str, tuple[int, float]] = {"CartPole-v1": (50_000, 2.3e-3), "LunarLander-v3": (100_000, 6.3e-4)}


@dataclass(frozen=True)
class Row:
    """One row of the table: an algorithm with a norm on an environment."""

    env: str
    algorithm: str
    norm: str

    @property
    def names(self) -> tuple[str, str, str]:
        """What the table calls it."""
        return self.env, ALGORITHMS[self.algorithm], self.norm

    def units(self, seeds: int) -> list[Unit]:
        """One unit a seed, from 0 on."""
        steps, rate = ENVIRONMENTS[self.env]
        settings = {**SETTINGS, "env": self.env, "algorithm": self.algorithm, "norm": self.norm}
        name = f"{self.env}, {ALGORITHMS[self.algorithm]}, {self.norm}"
        return [training_unit("sb3", settings, [s], [rate], steps, f"{name}, seed {s}") for s in range(seeds)]


ROWS = [Row(env, algorithm, norm) for env in ENVIRONMENTS for algorithm in ALGORITHMS for norm in NORMS]


def units(seeds: int) -> list[Unit]:
    """Every unit, seed by seed: what is there after an interruption holds all rows."""
    return [unit for each in zip(*(row.units(seeds) for row in ROWS), strict=True) for unit in each]


def page(seeds: int, store: Store, commit: str | None, command: str) -> str:
    """Two Markdown tables of finished units: means with 95 % intervals, and every seed's scores."""
    budgets = "; ".join(
        f"{env}: {steps:,} steps, learning rate {rate:g}" for env, (steps, rate) in ENVIRONMENTS.items()
    )
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    setting = (
        f"Command: `{command}`, commit {commit}; {seeds} seeds a row, from 0. {budgets}. All arms of an "
        "environment learn at that one rate, fixed beforehand and never tuned for any of them: the table shows "
        f"what a norm does there, not what it can do. Otherwise: {settings}. QR-DQN has {QUANTILES} quantiles "
        "and Adam's eps as sb3-contrib sets it (0.01 / batch)."
    )
    scores = (
        "AUC: area under the training-return curve, 0 = random policy, 1 = solved; greedy: mean of 20 episodes "
        "at the last step. Means over seeds with 95 % intervals (studentized bootstrap and Welch, "
        "`rlnorm.stats`). A run diverged when its loss or parameters were not finite, from where on it "
        "counts as random, or when its |Q| exceeded ten times what returns allow in all updates to the end."
    )
    found = {row: [(store.read(unit).records, unit.settings) for unit in row.units(seeds)] for row in ROWS}
    scores_of = {
        row: [[METRICS[key].score(*one, 0) for one in each] for key in ("return_auc", "final_return")]
        for row, each in found.items()
    }
    means = (
        (*row.names, f"{_interval(area, 3)}", _interval(final, 0), sum(map(_diverged, found[row])))
        for row, (area, final) in scores_of.items()
    )
    each_seed = (
        (*row.names, " ".join(f"{a:.3f}/{f:.0f}" for a, f in zip(area, final, strict=True)))
        for row, (area, final) in scores_of.items()
    )
    names = ("environment", "algorithm", "norm")
    lines = [
        "# Norms inside stable-baselines3: DQN and QR-DQN",
        "",
        fill(setting, WIDTH),
        "",
        fill(scores, WIDTH),
        "",
        *table((*names, "AUC", "greedy return", "diverged"), means),
        "",
        "Every seed's AUC / greedy return:",
        "",
        *table((*names, "per seed"), each_seed),
    ]
    return "\n".join(lines) + "\n"


def _diverged(run: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]) -> bool:
    records, _ = run
    return diverged_at(records, 0) < len(records)


def _interval(scores: list[float], digits: int) -> str:
    found = stats.mean(np.array(scores), np.random.default_rng(0))
    low, high = found.interval(0.95)
    return f"{found.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
