"""Parts of a run's records: means over the updates since the last record, and the greedy return at the end."""

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.tasks.environments import make

EVALUATION_EPISODES = 20


class Window:
    """Mean loss and Q of the updates since the last record, for each of N members."""

    def __init__(self, members: int):
        self._updates = torch.zeros(2, members)  # loss, mean Q
        self._count = 0

    def update(self, loss: torch.Tensor, q: torch.Tensor) -> None:
        """Add loss and mean Q of one update, (N,) each."""
        self._updates[0] += loss
        self._updates[1] += q
        self._count += 1

    def take(self) -> dict[str, list[float]]:
        """loss and q of a record, NaN if there was no update; the next window begins."""
        loss, q = (self._updates / self._count if self._count else self._updates * np.nan).tolist()
        self._updates.zero_()
        self._count = 0
        return {"loss": loss, "q": q}


def evaluate(
    agents: Agents, env: str, seed: int, episodes: int = EVALUATION_EPISODES, together: int = EVALUATION_EPISODES
) -> np.ndarray:
    """Mean return of `episodes` greedy episodes per agent, in new environments; (N,).

    together   how many observations pass through a network at once; this matters if acting takes batch statistics
    """
    members, passes = len(agents.diverged), -(-episodes // together)
    environments = make(env, members * episodes)
    observation = environments.reset(seed)
    total, alive = np.zeros(members * episodes), np.ones(members * episodes, dtype=bool)
    while alive.any():
        parts = torch.from_numpy(observation).unflatten(0, (members, episodes)).tensor_split(passes, 1)
        action = torch.cat([agents.greedy(part) for part in parts], 1)
        result = environments.step(action.numpy().ravel())
        total += result.reward * alive
        alive &= ~(result.terminated | result.truncated)
        observation = result.observation
    return total.reshape(members, episodes).mean(1)
