"""Episodes of a population, by values that are made in one of several ways from the same weights."""

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlnorm.dqn import Settings
from rlnorm.dqn.agents import Agents
from rlnorm.networks import network
from rlnorm.population import Population
from rlnorm.tasks.environments import SCALES, make, spaces
from rlnorm.tasks.scripted import RULES

Values = Callable[[Tensor], Tensor]
"""Observations (N, E, *shape) -> Q (N, E, actions)."""
TEN = 10  # environments of an agent, whose observations pass together where acting takes batch statistics
SEEN_EVERY = 10  # steps of which one is kept


class Played(NamedTuple):
    """What N agents did in their first episodes, (N,) each; `seen` (N, rows, *shape) are states on their way.

    score     mean return, 0 random, 1 solved
    reached   fraction of the episodes that met the goal
    repeats   fraction of the steps whose greedy action is that of the step before
    pumps     fraction of the steps whose greedy action is that of the environment's rule
    """

    score: np.ndarray
    reached: np.ndarray
    repeats: np.ndarray
    pumps: np.ndarray
    seen: Tensor


def play(run: Settings, values: Values, seed: int, episodes: int, epsilon: float = 0.0) -> Played:
    """`episodes` episodes of every agent at once, in new environments."""
    members, scale, rule = len(run.seeds), SCALES[run.env], RULES[run.env]
    count, actions, rng = members * episodes, spaces(run.env)[1], np.random.default_rng(seed)
    environments = make(run.env, count, run.environments)
    observation, last = environments.reset(seed), np.full(count, -1)
    alive, sums, seen = np.ones(count, dtype=bool), np.zeros((4, count)), list[Tensor]()
    while alive.any():
        rows = torch.from_numpy(observation).unflatten(0, (members, episodes))
        if int(sums[0].max()) % SEEN_EVERY == 0:
            seen.append(rows)
        with torch.no_grad():
            greedy = values(rows).argmax(-1).numpy().ravel()
        random = rng.random(count) < epsilon
        result = environments.step(np.where(random, rng.integers(actions, size=count), greedy))
        sums += np.stack([np.ones(count), result.reward, greedy == last, greedy == rule(observation)]) * alive
        last, observation = greedy, result.observation
        alive &= ~(result.terminated | result.truncated)
    steps, returns, repeats, pumps = sums.reshape(4, members, episodes)
    reached = (returns >= scale.success).mean(1)
    repeated, pumped = (each.sum(1) / steps.sum(1) for each in (repeats, pumps))
    return Played(scale.normalize(returns.mean(1)), reached, repeated, pumped, torch.cat(seen, 1))


def running(agents: Agents) -> Values:
    """Running statistics, as the supervised way acts; the only way where a norm has none."""
    return lambda x: agents.online(x, "eval")


def together(agents: Agents, rows: int) -> Values:
    """The statistics of so many observations of the same step, their own among them; ten is how the naive way acts."""
    return lambda x: agents.online.in_batches(x.unflatten(1, (-1, rows))).flatten(1, 2)


def fixed(run: Settings, agents: Agents, rows: Tensor) -> Values:
    """The statistics of `rows` (N, B, *shape), once and for all."""
    buffers = _statistics(run, agents)(rows)
    return lambda x: agents.online.apply(agents.online.parameters.views, buffers, x, "eval")


def drawn(run: Settings, agents: Agents, rows: Tensor, seed: int) -> Values:
    """The statistics of ten of `rows`, drawn anew in every step: as noisy as those of ten, and of other states."""
    of, generator = _statistics(run, agents), torch.Generator().manual_seed(seed)

    def values(x: Tensor) -> Tensor:
        ten = rows[:, torch.randint(rows.shape[1], (TEN,), generator=generator)]
        return agents.online.apply(agents.online.parameters.views, of(ten), x, "eval")

    return values


def _statistics(run: Settings, agents: Agents) -> Callable[[Tensor], dict[str, Tensor]]:
    """Rows (N, B, *shape) -> running statistics that are those of these rows alone."""
    shape, actions = spaces(run.env)
    layout = {**run.layout, "norm_kwargs": {"momentum": 1.0}}
    whole = Population(lambda: network(shape, actions, **layout), run.seeds)

    def of(rows: Tensor) -> dict[str, Tensor]:
        buffers = deepcopy(agents.online.buffers)
        with torch.no_grad():
            whole.apply(agents.online.parameters.views, buffers.views, rows, "train")
        return buffers.views

    return of
