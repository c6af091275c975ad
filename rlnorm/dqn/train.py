"""The DQN engine: a generator of records. Recording, judging and stopping belong to the caller.

Algorithm: Mnih et al. 2015 with the options of `train`; optionally double Q-learning (van Hasselt et al. 2016,
arXiv:1509.06461). Defaults are CleanRL's `dqn.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.losses import LOSSES
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.errors import raise_if_any, unknown
from rlnorm.networks import mlp, network_errors
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import RECORDS, member_errors
from rlnorm.tasks.environments import SCALES, environment_errors, make, spaces

Record = dict[str, Any]
EVALUATION_EPISODES = 20


def epsilon_at(step: int, steps: int, epsilon: tuple[float, float, float]) -> float:
    """Share of random actions after `step` of `steps`: linear from start to end over a fraction, then constant."""
    start, end, fraction = epsilon
    return start + (end - start) * min(step / (fraction * steps), 1.0)


def train(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    norm: str = "none",
    place: str = "before",
    hidden: Sequence[int] = (120, 84),
    activation: str = "relu",
    init: str = "torch",
    init_scale: float = 1.0,
    recipe: str = "supervised",
    loss: str = "squared",
    double: bool = False,
    clip: float | None = None,
    optimizer: str = "adam",
    discount: float = 0.99,
    batch: int = 128,
    buffer: int = 10_000,
    starts: int = 10_000,
    train_every: int = 10,
    updates: int = 1,
    target_every: int = 500,
    epsilon: tuple[float, float, float] = (1.0, 0.05, 0.5),
    envs: int = 1,
    compile: bool = False,
) -> Iterator[Record]:
    """Train len(seeds) agents as one population, agent i from `seeds[i]` at learning rate `rates[i]`.

    All counts of steps are environment steps of one agent, over its `envs` environments together. After `starts`
    steps, every `train_every` steps make `updates` updates on `batch` transitions each; every `target_every` steps the
    target network takes all state of the online one. `epsilon` = (start, end, fraction of the budget it takes).

    Yields 100 records (as many as the environments were stepped, where that is fewer): step; per agent return (mean
    over the training episodes finished since the last record, NaN if none), loss and q (means since the last record,
    NaN before the first update), diverged; and epsilon. The last one also holds final_return: the mean of 20 greedy
    episodes. Raises ConfigError with every error at once.

    The agents of a block share one stream of random numbers for acting and sampling, so that what reproduces is the
    block. One torch thread is assumed.
    """
    raise_if_any(errors(**locals()))
    shape, actions = spaces(env)
    block = np.random.SeedSequence(list(seeds))
    rng = np.random.default_rng(block)
    env_seed, eval_seed, sample_seed = (int(x) for x in block.generate_state(3))
    generator = torch.Generator().manual_seed(sample_seed)
    members = len(seeds)
    replay = Replay(members, buffer, shape)
    agents = Agents(
        lambda: mlp(shape[0], actions, hidden=hidden, norm=norm, place=place, activation=activation),
        seeds,
        rates,
        unpack=replay.unpack,
        recipe=RECIPES[recipe],
        loss=loss,
        double=double,
        clip=clip,
        optimizer=optimizer,
        init=init,
        init_scale=init_scale,
        q_limit=10 * SCALES[env].reward_max / (1 - discount) if env in SCALES else float("inf"),
        compile=compile,
    )
    environments = make(env, members * envs)
    observation = environments.reset(env_seed).reshape(members, envs, *shape)
    window = _Window(members, envs)

    for step in range(envs, steps + 1, envs):
        share = epsilon_at(step - envs, steps, epsilon)
        action = rng.integers(actions, size=(members, envs))
        greedy = rng.random((members, envs)) >= share
        if greedy.any():
            action = np.where(greedy, agents.act(torch.from_numpy(observation)).numpy(), action)
        result = environments.step(action.ravel())
        successor, reward, terminated, truncated = (
            x.reshape(members, envs, *x.shape[1:]) for x in (result[1], *result[2:])
        )
        replay.add(observation, successor, action, reward, discount * ~terminated)
        window.episodes(reward, terminated | truncated)
        observation = result.observation.reshape(members, envs, *shape)

        # Multiples of train_every passed in this step and beyond `starts`: several where there are many environments.
        due = step // train_every - max(step - envs, starts) // train_every
        for _ in range(due * updates):
            window.update(*agents.update(replay.sample(batch, generator)))
        if step % target_every < envs:
            agents.update_target()
        last = step + envs > steps
        if last or step * RECORDS // steps > (step - envs) * RECORDS // steps:
            # An update may have been the last one before its damage was seen.
            agents.diverged |= ~agents.online.flat.isfinite().all(1)
            record: Record = {"step": step, "epsilon": share, "diverged": agents.diverged.tolist(), **window.take()}
            if last:
                record["final_return"] = evaluate(agents, env, eval_seed).tolist()
            yield record


class _Window:
    """What happened since the last record, per agent."""

    def __init__(self, members: int, envs: int):
        self._running = np.zeros((members, envs))
        self._sums = np.zeros((2, members))  # returns, episodes
        self._updates = torch.zeros(2, members)  # loss, mean Q
        self._count = 0

    def episodes(self, reward: np.ndarray, ended: np.ndarray) -> None:
        self._running += reward
        if ended.any():
            self._sums += (self._running * ended).sum(1), ended.sum(1)
            self._running[ended] = 0

    def update(self, loss: torch.Tensor, q: torch.Tensor) -> None:
        self._updates[0] += loss
        self._updates[1] += q
        self._count += 1

    def take(self) -> dict[str, list[float]]:
        returns, episodes = self._sums
        with np.errstate(invalid="ignore"):
            mean_return = np.where(episodes > 0, returns / episodes, np.nan)
        loss, q = (self._updates / self._count if self._count else self._updates * np.nan).tolist()
        self._sums[:] = 0
        self._updates.zero_()
        self._count = 0
        return {"return": mean_return.tolist(), "loss": loss, "q": q}


def evaluate(agents: Agents, env: str, seed: int, episodes: int = EVALUATION_EPISODES) -> np.ndarray:
    """Mean return of `episodes` greedy episodes per agent, in environments of their own; (N,)."""
    members = len(agents.diverged)
    environments = make(env, members * episodes)
    observation = environments.reset(seed)
    total, alive = np.zeros(members * episodes), np.ones(members * episodes, dtype=bool)
    while alive.any():
        action = agents.greedy(torch.from_numpy(observation).unflatten(0, (members, episodes)))
        result = environments.step(action.numpy().ravel())
        total += result.reward * alive
        alive &= ~(result.terminated | result.truncated)
        observation = result.observation
    return total.reshape(members, episodes).mean(1)


def errors(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    recipe: str,
    loss: str,
    optimizer: str,
    discount: float,
    batch: int,
    buffer: int,
    starts: int,
    train_every: int,
    updates: int,
    target_every: int,
    epsilon: tuple[float, float, float],
    envs: int,
    norm: str,
    place: str,
    hidden: Sequence[int],
    activation: str,
    init: str,
    init_scale: float,
    clip: float | None,
    **_: object,
) -> Iterator[str]:
    """One sentence for each setting of `train` that cannot be used."""
    yield from environment_errors(env)
    yield from network_errors(
        hidden=hidden,
        norm=norm,
        place=place,
        activation=activation,
        init=init,
        init_scale=init_scale,
        batch=batch,
    )
    yield from member_errors(seeds=seeds, rates=rates)
    for kind, got, valid in (
        ("recipe", recipe, RECIPES),
        ("loss", loss, LOSSES),
        ("optimizer", optimizer, OPTIMIZERS),
    ):
        if got not in valid:
            yield unknown(kind, got, valid)
    for name, value in {
        "steps": steps,
        "batch": batch,
        "buffer": buffer,
        "train_every": train_every,
        "updates": updates,
        "target_every": target_every,
        "envs": envs,
    }.items():
        if value < 1:
            yield f"{name} must be at least 1, got {value}."
    if starts < 0:
        yield f"starts must not be negative, got {starts}."
    if clip is not None and not clip > 0:
        yield f"clip must be a positive norm, or None for no clipping, got {clip}."
    if not 0 <= discount < 1:
        yield f"discount must lie in [0, 1), got {discount}."
    if not (0 <= epsilon[0] <= 1 and 0 <= epsilon[1] <= 1 and 0 < epsilon[2] <= 1):
        yield f"epsilon is (start, end, fraction) with 0 <= start, end <= 1 and 0 < fraction <= 1, got {epsilon}."
    if batch > buffer:
        yield f"a batch of {batch} cannot be drawn from a buffer of {buffer} transitions."
    if envs > buffer:
        yield f"{envs} environments per agent need a buffer of at least as many transitions, got {buffer}."
    if envs > steps:
        yield f"{envs} environments per agent make {envs} steps at once, beyond the budget of {steps}."
    if starts >= steps:
        yield f"learning would start after {starts} steps, beyond the budget of {steps}."
