"""How transitions come about: agents act in their environments, or a fixed set is collected before they learn."""

from collections.abc import Iterator

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.dqn.images import ImageReplay
from rlnorm.dqn.replay import Replay
from rlnorm.dqn.schedule import Turn
from rlnorm.dqn.settings import Settings
from rlnorm.tasks.scripted import RULES
from rlnorm.tasks.steps import Environments


def draws(
    rng: np.random.Generator, actions: int, members: int, envs: int, coins: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each turn a random action (members, envs) and uniform numbers (members, coins), drawn many turns at once."""
    ahead = 256
    while True:
        yield from zip(rng.integers(actions, size=(ahead, members, envs)), rng.random((ahead, members, coins)))


class Collector:
    """The environments of N agents, E each, and what the agents do in them.

    observation   (N, E, *shape), the first observations
    actions       how many actions there are

    `episodes` are those of the environments in which agents act by themselves all the time: where a rule drives the
    first environment of each agent at the beginning (`Settings.assisted`), all but that one.
    """

    def __init__(
        self,
        run: Settings,
        agents: Agents,
        replay: Replay | ImageReplay,
        environments: Environments,
        observation: np.ndarray,
        actions: int,
        rng: np.random.Generator,
    ):
        self._run, self._agents, self._replay, self._environments = run, agents, replay, environments
        self._observation, self._actions, self._rng = observation, actions, rng
        members, envs = observation.shape[:2]
        self._drawn = draws(rng, actions, members, envs, run.schedule.coins)
        self._rule = RULES.get(run.env)
        self._own = slice(1 if run.assisted else 0, None)
        self.episodes = Episodes(run.discount, observation[:, self._own], run.success)

    def step(self, turn: Turn) -> None:
        """One step of all environments."""
        agents, observation = self._agents, self._observation
        action, uniform = next(self._drawn)
        greedy = uniform >= turn.epsilon
        if self._run.normalize_observations:
            agents.observe(torch.from_numpy(observation))
        if not turn.only_random and (greedy.any() or agents.acting_updates):
            action = np.where(greedy, agents.act(torch.from_numpy(observation)).numpy(), action)
        if turn.assisted:
            assert self._rule is not None
            action[:, 0] = self._rule(observation[:, 0])
        reward, ended = self._take(action, turn.stores)
        own = self._own
        self.episodes.step(reward[:, own], ended[:, own], self._observation[:, own])

    def fill(self) -> None:
        """Fill the replay with transitions of the behaviour policy (`Settings.offline`)."""
        assert self._rule is not None
        members, envs = self._observation.shape[:2]
        random = (np.arange(envs) + 0.5) / envs
        for _ in range(-(-self._run.buffer // envs)):
            chosen = self._rule(self._observation.reshape(members * envs, -1)).reshape(members, envs)
            drawn = self._rng.integers(self._actions, size=(members, envs))
            self._take(np.where(self._rng.random((members, envs)) < random, drawn, chosen), stores=True)

    def _take(self, action: np.ndarray, stores: bool) -> tuple[np.ndarray, np.ndarray]:
        """Take actions (N, E), store the transitions -> rewards and ends of episodes, (N, E) each."""
        run, before, each = self._run, self._observation, action.shape
        result = self._environments.step(action.ravel())
        observation, successor, reward, terminated, truncated = (x.reshape(*each, *x.shape[1:]) for x in result)
        if stores:
            self._replay.add(before, successor, action, run.reward_scale * reward, run.discount * ~terminated)
        self._observation = observation
        return reward, terminated | truncated
