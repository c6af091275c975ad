"""Parts of a run's records: means over the updates since the last record, and the greedy return at the end."""

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.tasks.environments import make

EVALUATION_EPISODES = 20


class Window:
    """What the updates since the last record came to, for each of N agents."""

    def __init__(self, agents: Agents):
        self._agents, self._beyond = agents, agents.beyond.clone()
        self._updates = torch.zeros(2, len(agents.diverged))  # loss, mean Q
        self._count = 0

    def update(self, loss: torch.Tensor, q: torch.Tensor) -> None:
        """Add loss and mean Q of one update, (N,) each."""
        self._updates[0] += loss
        self._updates[1] += q
        self._count += 1

    def take(self) -> dict[str, list[float]]:
        """Mean loss and q, and the fraction `beyond`, NaN if there was no update; the next window begins."""
        sums = torch.stack([*self._updates, self._agents.beyond - self._beyond])
        loss, q, beyond = (sums / self._count if self._count else sums * np.nan).tolist()
        self._beyond.copy_(self._agents.beyond)
        self._updates.zero_()
        self._count = 0
        return {"loss": loss, "q": q, "beyond": beyond}


def evaluate(
    agents: Agents,
    env: str,
    seed: int,
    episodes: int = EVALUATION_EPISODES,
    together: int = EVALUATION_EPISODES,
    backend: str = "gymnasium",
) -> np.ndarray:
    """Mean return of `episodes` greedy episodes per agent, in new environments; (N,).

    together   how many observations pass through a network at once; this matters if acting takes batch statistics
    """
    members, passes = len(agents.diverged), -(-episodes // together)
    environments = make(env, members * episodes, backend)
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
