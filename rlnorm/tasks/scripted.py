"""Rules that play an environment without learning: they show agents what success looks like, all arms alike.

A rule takes observations (n, *shape) to actions (n,). Returns named are medians
of 500 to 2 000 episodes; the goal is `Scale.success`.
"""

from collections.abc import Callable, Mapping

import numpy as np

Rule = Callable[[np.ndarray], np.ndarray]


def balance(observation: np.ndarray) -> np.ndarray:
    """CartPole: push towards the side to which the pole and the cart lean and move. Return 500; the goal in all."""
    return (observation @ np.array([0.1, 0.3, 3.0, 1.0]) > 0).astype(np.int64)


def pump(observation: np.ndarray) -> np.ndarray:
    """Acrobot: torque with the sign of the second joint's velocity. Return -74; the goal in 99.6 %."""
    return np.where(observation[:, 5] >= 0, 2, 0)


def swing(observation: np.ndarray) -> np.ndarray:
    """MountainCar: accelerate with the sign of the velocity. Return -121; the goal in all."""
    return np.where(observation[:, 1] >= 0, 2, 0)


def land(observation: np.ndarray) -> np.ndarray:
    """LunarLander: gymnasium's `heuristic`, for many landers at once. Return 264; the goal in 90 %."""
    x, y, vx, vy, angle, spin, left, right = observation.T
    down = (left > 0) | (right > 0)
    towards = np.clip(0.5 * x + vx, -0.4, 0.4)
    turn = np.where(down, 0.0, 0.5 * (towards - angle) - spin)
    hover = np.where(down, -0.5 * vy, 0.5 * (0.55 * np.abs(x) - y) - 0.5 * vy)
    sideways = np.select([turn < -0.05, turn > 0.05], [3, 1], 0)
    return np.where((hover > np.abs(turn)) & (hover > 0.05), 2, sideways)


RULES: Mapping[str, Rule] = {
    "CartPole-v1": balance,
    "Acrobot-v1": pump,
    "MountainCar-v0": swing,
    "LunarLander-v3": land,
}
