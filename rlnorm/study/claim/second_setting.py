"""A second DQN setting beside that of all studies (rule 10), as a practitioner chooses it.

An update per four steps from a larger replay, and a budget at whose end plain DQN improves no more. Like the first it
was chosen on seeds 0-7 of the arm without a norm. `docs/study-settings.md` holds the figures, and says why LunarLander
has none yet.
"""

from collections.abc import Mapping
from dataclasses import replace

from rlnorm.study.claim.declare import Effect, Settings, dqn_experiment
from rlnorm.study.claim.dqn_setting import BUDGETS, DQN_STUDY, NEGATIVE, POSITIVE, RATES, SMALL, effect, question

SECOND: Mapping[str, object] = {
    **DQN_STUDY,
    "batch": 64,
    "buffer": 50_000,
    "train_every": 4,
    "target_every": 250,
    "epsilon": (1.0, 0.05, 0.12),
    "envs": 4,
}
STEPS: Mapping[str, int] = {"CartPole-v1": 200_000}
"""Environment steps of one agent at full: after as many plain DQN improves no more."""

CONTROLS: Mapping[str, Mapping[str, Settings]] = {
    "CartPole-v1": {
        NEGATIVE: {**SMALL, "lr": 4e-3},
        POSITIVE: {
            **{name: DQN_STUDY[name] for name in ("batch", "buffer", "target_every", "envs")},
            "train_every": 50,
            "epsilon": (1.0, 0.05, 0.03),
            "lr": 3e-3,
        },
    },
}
"""What makes an arm without a norm worse, and better, than it is in this setting: each at its own best rate."""

SOME_RATES = (1.25e-4, *RATES[:5])
"""From 1.25e-4 to 4e-3: with more updates lower rates suit, and with LN still lower ones than without."""

FIRST_SEED = 300
"""Seeds from 200 on were looked at: there, with 1e-3 to 8e-3, both arms' best rate was the lowest of the grid."""


def in_second_setting(env: str, arms: Mapping[str, Settings], treatment: str, what: str = "") -> dict[str, Effect]:
    """Is the treatment not better than none, each at its own best of six rates? It stands beside a claim's parts."""
    experiment = dqn_experiment(env=env, steps={**BUDGETS[env], "full": STEPS[env]}, **SECOND)
    part = effect(
        experiment,
        {**arms, **CONTROLS[env]},
        question("not better", treatment),
        presets=("full",),
        rates=SOME_RATES,
        decisive=False,
    )
    return {", ".join((env, *([what] if what else []), "second setting")): replace(part, judged_from=FIRST_SEED)}
