"""The setting that every DQN study shares, fixed once on the arm without a norm and then the same everywhere (rule 10).

It was chosen on seeds 0-7 so that plain DQN learns but has headroom: its score lies between 0.25 and 0.9, where 0 is a
random policy and 1 is solved. `docs/study-settings.md` holds the figures. MountainCar-v0 is not studied: plain DQN
stays at the floor there.
"""

from collections.abc import Mapping
from dataclasses import replace

from rlnorm.errors import ConfigError, unknown
from rlnorm.study.claim.declare import (
    PRESETS,
    Effect,
    Experiment,
    Preset,
    Settings,
    dqn_experiment,
)
from rlnorm.study.claim.question import Asks, Question

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

RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
"""The rates from which each arm may choose its own best; with LN and BN it was at up to 1.6e-2 (seeds 100-115)."""

BUDGETS: Mapping[str, Mapping[Preset, int]] = {
    "CartPole-v1": {"smoke": 3_000, "quick": 50_000, "full": 200_000},
    "Acrobot-v1": {"smoke": 3_000, "quick": 50_000, "full": 50_000},
    "LunarLander-v3": {"smoke": 3_000, "quick": 200_000, "full": 200_000},
}
"""Environment steps of one agent."""

COMPARISON_STEPS = 100_000
"""Environment steps of a comparison that was asked for without a claim's file."""

QUICK = "CartPole-v1"
"""The one environment of quick runs: its steps are computed together and cost a tenth of the others'."""

SHOWN: Mapping[str, Settings] = {"Acrobot-v1": {"assisted": 0.3}}
"""What an environment's setting has besides: on Acrobot a random policy never meets the goal, and scores would say who
happens to find it first. For 30 % of the budget a rule plays one of each agent's ten environments, for all arms alike.
"""

NEGATIVE, POSITIVE = "negative control", "positive control"

SMALL: Settings = {"hidden": (4, 4)}
CONTROLS: Mapping[str, Mapping[str, Settings]] = {
    "CartPole-v1": {
        NEGATIVE: {**SMALL, "lr": 4e-3},
        POSITIVE: {"train_every": 50, "epsilon": (1.0, 0.05, 0.05), "lr": 2e-3},
    },
    "Acrobot-v1": {NEGATIVE: {**SMALL, "lr": 2e-3}, POSITIVE: {"train_every": 5, "target_every": 100, "lr": 5e-4}},
    "LunarLander-v3": {
        NEGATIVE: {**SMALL, "lr": 4e-3},
        POSITIVE: {"train_every": 5, "epsilon": (1.0, 0.05, 0.05), "lr": 2e-3},
    },
}
"""What makes an arm without a norm worse, and better, than it is: each at its own best rate.

Chosen on seeds 0-7; `docs/study-settings.md` holds the figures.
"""

NORMED: Mapping[tuple[str, object], Settings] = {
    ("CartPole-v1", "batch"): {"lr": 8e-3},
    ("Acrobot-v1", "batch"): {"lr": 4e-3},
}
"""The same negative control with its reference's norm: its own best rate, where that was looked for."""

FIXED: Mapping[str, int] = {"CartPole-v1": 20_000, "Acrobot-v1": 25_000}
"""The time, in steps, for which agents learn from a fixed set of transitions: the arm without a norm gets half-way and
more. On LunarLander it ends at a random policy's return or below, and no norm could be told from another by that.
"""

FIRST_FRESH = 200
"""Seeds below were looked at while claims, controls and rules were made."""


def study(env: str, quick: int | None = None, **changes: object) -> Experiment:
    """The study setting on one environment, with `changes` for all arms; `quick`: at most so many steps at quick."""
    if env not in BUDGETS:
        raise ConfigError(unknown("environment of the study setting", env, BUDGETS))
    steps = dict(BUDGETS[env])
    if quick is not None:
        steps["quick"] = min(steps["quick"], quick)
    return dqn_experiment(env=env, steps=steps, **{**DQN_STUDY, **SHOWN.get(env, {}), **changes})


def controlled(env: str, arms: Mapping[str, Settings], base: Settings | None = None) -> dict[str, Settings]:
    """The arms and both controls of an environment.

    base   what the reference has that the negative control keeps; the positive one never has a norm
    """
    controls, kept = CONTROLS[env], base or {}
    normed = NORMED.get((env, kept.get("norm")), {})
    return {**arms, NEGATIVE: {**kept, **controls[NEGATIVE], **normed}, POSITIVE: controls[POSITIVE]}


def question(asks: Asks, treatment: str, reference: str = "none") -> Question:
    """A question about two arms, at the margin of areas (rule 3) and with both controls."""
    return Question(
        asks=asks,
        treatment=treatment,
        reference=reference,
        margin=0.05,
        negative_control=NEGATIVE,
        positive_control=POSITIVE,
    )


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
        judged_from=FIRST_FRESH,
        presets=presets or every,
        group=env,
        decisive=decisive,
    )


HEADLINE_SEEDS = 64
"""Seeds of a headline part: `rlnorm power dqn-ln` asks for 36 to 131 where there is no effect."""


def headline(
    env: str,
    arms: Mapping[str, Settings],
    treatment: str,
    reference: str = "none",
    base: Settings | None = None,
    what: str = "",
    presets: tuple[Preset, ...] | None = None,
) -> dict[str, Effect]:
    """Is the treatment not better? All arms at the common rate; at full each also at its own best of eight (rule 6).

    Beside them, at own best rates: on an environment whose goal is shown, the same where it is not; and learning alone,
    from a fixed set of transitions, scored by the greedy return at the end.
    """
    name = f"{env}, {what}" if what else env
    asked, given = question("not better", treatment, reference), controlled(env, arms, base)

    def part(experiment: Experiment, rates: tuple[float, ...], decisive: bool = True) -> Effect:
        shown = presets if not rates else ("full",)
        return effect(experiment, given, asked, presets=shown, rates=rates, seeds=HEADLINE_SEEDS, decisive=decisive)

    found = {
        f"{name}, common rate": part(study(env), ()),
        f"{name}, own best rate": part(study(env), RATES),
    }
    if env in SHOWN:
        found[f"{name}, goal hidden, own best rate"] = part(study(env, assisted=0.0), RATES, decisive=False)
    if env in FIXED:
        steps = {preset: min(FIXED[env], most) for preset, most in BUDGETS[env].items()}
        found[f"{name}, fixed set, own best rate"] = effect(
            replace(study(env, assisted=0.0, offline=True), steps=steps),
            {arm: settings for arm, settings in given.items() if arm != POSITIVE},
            replace(asked, positive_control=None),
            metric="final_score",
            presets=("full",),
            rates=RATES,
            seeds=HEADLINE_SEEDS,
            decisive=False,
        )
    return found
