"""What a run's records hold: what happened since the last one, and the greedy return at the end."""

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.tasks.environments import make

EVALUATION_EPISODES = 20


class Window:
    """What happened since the last record, per agent: members N, environments E each."""

    def __init__(self, members: int, envs: int):
        self._running = np.zeros((members, envs))
        self._sums = np.zeros((2, members))  # returns, episodes
        self._updates = torch.zeros(2, members)  # loss, mean Q
        self._count = 0

    def episodes(self, reward: np.ndarray, ended: np.ndarray) -> None:
        """Rewards of one step and where it ended an episode, (N, E) each."""
        self._running += reward
        if ended.any():
            self._sums += (self._running * ended).sum(1), ended.sum(1)
            self._running[ended] = 0

    def update(self, loss: torch.Tensor, q: torch.Tensor) -> None:
        """Loss and mean Q of one update, (N,) each."""
        self._updates[0] += loss
        self._updates[1] += q
        self._count += 1

    def take(self) -> dict[str, list[float]]:
        """return, loss and q as a record holds them; forgets them."""
        returns, episodes = self._sums
        with np.errstate(invalid="ignore"):
            mean_return = np.where(episodes > 0, returns / episodes, np.nan)
        loss, q = (self._updates / self._count if self._count else self._updates * np.nan).tolist()
        self._sums[:] = 0
        self._updates.zero_()
        self._count = 0
        return {"return": mean_return.tolist(), "loss": loss, "q": q}


def evaluate(
    agents: Agents, env: str, seed: int, episodes: int = EVALUATION_EPISODES, together: int = EVALUATION_EPISODES
) -> np.ndarray:
    """Mean return of `episodes` greedy episodes per agent, in environments of their own; (N,).

    together   how many observations may share a pass, which matters where acting takes batch statistics
    """
    members, passes = len(agents.diverged), -(-episodes // together)
    environments = make(env, members * episodes)
    observation = environments.reset(seed)
    total, alive = np.zeros(members * episodes), np.ones(members * episodes, dtype=bool)
    while alive.any():
        shares = torch.from_numpy(observation).unflatten(0, (members, episodes)).tensor_split(passes, 1)
        action = torch.cat([agents.greedy(share) for share in shares], 1)
        result = environments.step(action.numpy().ravel())
        total += result.reward * alive
        alive &= ~(result.terminated | result.truncated)
        observation = result.observation
    return total.reshape(members, episodes).mean(1)
