"""The setting that every DQN study shares, fixed once on the *none* arm and then the same everywhere (rule 8).

Chosen on seeds 0-7 of CartPole-v1 so that plain DQN learns but has room: its score lies between 0.25 and 0.9, where 0
is a random policy and 1 is solved. `docs/study-settings.md` holds the figures.
"""

from collections.abc import Mapping

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
