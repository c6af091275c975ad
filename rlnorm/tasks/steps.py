"""What every kind of environments gives: one valid transition per step, of n environments together."""

from typing import NamedTuple, Protocol

import numpy as np


class Step(NamedTuple):
    """One step of n environments. observation, successor: (n, *shape); the others (n,)."""

    observation: np.ndarray
    successor: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Environments(Protocol):
    """n environments stepped together."""

    def reset(self, seed: int) -> np.ndarray: ...
    def step(self, actions: np.ndarray) -> Step: ...
