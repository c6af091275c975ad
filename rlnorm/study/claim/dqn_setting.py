"""The setting that every DQN study shares, fixed once on the arm without a norm and then the same everywhere (rule 10).

It was chosen on seeds 0-7 so that plain DQN learns but has headroom: its score lies between 0.25 and 0.9, where 0 is a
random policy and 1 is solved. `docs/study-settings.md` holds the figures. MountainCar-v0 is not studied: plain DQN
stays at the floor there.
"""

from collections.abc import Mapping

from rlnorm.errors import ConfigError, unknown
from rlnorm.study.claim.declare import (
    FIRST_JUDGED,
    PRESETS,
    Effect,
    Experiment,
    Preset,
    Settings,
    dqn_experiment,
)
from rlnorm.study.claim.question import Question

DQN_STUDY: Mapping[str, object] = {
    "hidden": (64, 64),
    "lr": 1e-3,
    "batch": 128,
    "buffer": 10_000,
    "starts": 1_000,
    "train_every": 10,
    "target_every": 500,
    "epsilon": (1.0, 0.05, 0.2),
    "loss": "squared",
    "envs": 10,
}

RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
"""The five rates from which each arm may choose its own best."""

BUDGETS: Mapping[str, Mapping[Preset, int]] = {
    "CartPole-v1": {"smoke": 3_000, "quick": 100_000, "full": 200_000},
    "Acrobot-v1": {"smoke": 3_000, "quick": 50_000, "full": 50_000},
    "LunarLander-v3": {"smoke": 3_000, "quick": 200_000, "full": 200_000},
}
"""Environment steps of one agent."""

COMPARISON_STEPS = 100_000
"""Environment steps of a comparison that was asked for without a claim's file."""

QUICK = "CartPole-v1"
"""The one environment of quick runs: its steps are computed together and cost a tenth of the others'."""

NEGATIVE_CONTROL: Settings = {"train_every": 50}
"""What makes an arm worse on purpose: a fifth of the updates."""

# Seeds 8-23 of CartPole-v1 were judged at quick before the full budget was declared.
_JUDGED_FROM = {"CartPole-v1": 24}


def study(env: str, quick: int | None = None, **changes: object) -> Experiment:
    """The study setting on one environment, with `changes` for all arms; `quick`: at most so many steps at quick."""
    if env not in BUDGETS:
        raise ConfigError(unknown("environment of the study setting", env, BUDGETS))
    steps = dict(BUDGETS[env])
    if quick is not None:
        steps["quick"] = min(steps["quick"], quick)
    return dqn_experiment(env=env, steps=steps, **{**DQN_STUDY, **changes})


def effect(
    experiment: Experiment,
    arms: Mapping[str, Settings],
    question: Question,
    *,
    metric: str = "return_auc",
    presets: tuple[Preset, ...] | None = None,
    rates: tuple[float, ...] = (),
    points: tuple[Settings, ...] = (),
    seeds: int | None = None,
    decisive: bool = True,
) -> Effect:
    """A part on the study setting, grouped by its environment and judged on fresh seeds.

    At quick it runs only on `QUICK`, unless `presets` says more.
    """
    env = str(experiment.settings["env"])
    every: tuple[Preset, ...] = PRESETS if env == QUICK else ("smoke", "full")
    return Effect(
        experiment=experiment,
        arms=arms,
        metric=metric,
        question=question,
        rates=rates,
        points=points,
        seeds=seeds,
        judged_from=_JUDGED_FROM.get(env, FIRST_JUDGED),
        presets=presets or every,
        group=env,
        decisive=decisive,
    )


def at_both_rates(
    env: str,
    arms: Mapping[str, Settings],
    question: Question,
    what: str = "",
    presets: tuple[Preset, ...] | None = None,
) -> dict[str, Effect]:
    """A headline comparison (rule 6): all arms at the common rate; at full each also at its own best of five."""
    name, experiment = f"{env}, {what}" if what else env, study(env)
    return {
        f"{name}, common rate": effect(experiment, arms, question, presets=presets),
        f"{name}, own best rate": effect(experiment, arms, question, presets=("full",), rates=RATES),
    }
