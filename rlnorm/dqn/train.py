"""The DQN engine: a generator of records. Recording, judging and stopping belong to the caller.

Algorithm: Mnih et al. 2015 with the options of `train`; optionally double Q-learning (van Hasselt et al. 2016,
arXiv:1509.06461), or no target network. Defaults are CleanRL's `dqn.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.dqn.errors import errors
from rlnorm.dqn.images import ImageReplay
from rlnorm.dqn.memory import Heap
from rlnorm.dqn.probing import Probing, times_of
from rlnorm.dqn.recipes import resolve
from rlnorm.dqn.records import EVALUATION_EPISODES, Window, evaluate
from rlnorm.dqn.replay import Replay
from rlnorm.dqn.saved import save as save_agents
from rlnorm.errors import raise_if_any
from rlnorm.networks import network
from rlnorm.nn import ObservationNorm
from rlnorm.population import RECORDS
from rlnorm.tasks.environments import SCALES, make, spaces

Record = dict[str, Any]


def epsilon_at(step: int, steps: int, epsilon: tuple[float, float, float]) -> float:
    """Share of random actions after `step` of `steps`: linear from start to end over a fraction, then constant."""
    start, end, fraction = epsilon
    return start + (end - start) * min(step / (fraction * steps), 1.0)


def draws(
    rng: np.random.Generator, actions: int, members: int, envs: int, coins: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each step a random action (members, envs) and uniform numbers (members, coins), drawn many steps at once."""
    ahead = 256
    while True:
        yield from zip(rng.integers(actions, size=(ahead, members, envs)), rng.random((ahead, members, coins)))


def train(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    norm: str = "none",
    norm_kwargs: Mapping[str, Any] | None = None,
    place: str = "before",
    sites: Sequence[str] = ("hidden",),
    hidden: Sequence[int] = (120, 84),
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    activation: str = "relu",
    init: str = "torch",
    init_scale: float = 1.0,
    recipe: str = "supervised",
    modes: Mapping[str, Any] | None = None,
    loss: str = "squared",
    double: bool = False,
    clip: float | None = None,
    optimizer: str = "adam",
    discount: float = 0.99,
    reward_scale: float = 1.0,
    normalize_observations: bool = False,
    batch: int = 128,
    buffer: int = 10_000,
    starts: int = 10_000,
    collect: int | None = None,
    train_every: int = 10,
    updates: int = 1,
    target_every: int | None = 500,
    tau: float = 1.0,
    epsilon: tuple[float, float, float] = (1.0, 0.05, 0.5),
    envs: int = 1,
    probes: int | None = None,
    compile: bool = False,
    save: str | Path | None = None,
) -> Iterator[Record]:
    """Train len(seeds) agents as one population, agent i from `seeds[i]` at learning rate `rates[i]`.

    All counts of steps are environment steps of one agent, over its `envs` environments together. After `starts`
    steps, every `train_every` steps make `updates` updates on `batch` transitions each; every `target_every` steps the
    target network takes the share `tau` of the online parameters (None: no target network, the online one values s').
    Transitions enter the replay for `collect` steps, after which it is a fixed set (None: for the whole budget).
    `epsilon` = (start, end, fraction of the budget it takes). `recipe` says which statistics each pass normalizes with
    and what becomes of the target's (`rlnorm.dqn.recipes`), `modes` changes fields of it. The network is
    `rlnorm.networks.network`. Learning is from rewards
    times `reward_scale`. With `normalize_observations`, each agent standardizes observations by the running mean and
    variance of all that it acted on (`rlnorm.nn.observation`), frozen in evaluation.

    Yields 100 records (as many as the environments were stepped, where that is fewer): step; per agent return (mean
    over the training episodes finished since the last record, NaN if none), loss and q (of scaled rewards; means since
    the last record, NaN before the first update), diverged; and epsilon. The last one also holds final_return: the mean
    of 20 greedy episodes. `probes` of them, spread evenly, also hold probes (layer -> probe -> a number per agent; see
    `rlnorm.dqn.probing`); None: 20, fewer where there are less than 6 000 updates. Before the last one comes, with
    `save`, agent i is written to the file agent<i>.pt in that folder, and `rlnorm.dqn.load` makes a plain module of it.
    Raises ConfigError with every error at once.

    The agents of a block share one stream of random numbers for acting and sampling, so that what reproduces is the
    block. One torch thread is assumed.
    """
    raise_if_any(errors(**locals()))
    shape, actions = spaces(env)
    block = np.random.SeedSequence(list(seeds))
    rng = np.random.default_rng(block)
    env_seed, eval_seed, sample_seed = (int(x) for x in block.generate_state(3))
    generator = torch.Generator().manual_seed(sample_seed)
    members, use = len(seeds), resolve(recipe, modes)
    environments = make(env, members * envs)
    observation = environments.reset(env_seed).reshape(members, envs, *shape)
    if len(shape) > 1:
        replay = ImageReplay(members, buffer, shape, observation.dtype, envs)
    else:
        replay = Replay(members, buffer, shape)
    layout: dict[str, Any] = {
        "outputs": actions,
        "hidden": tuple(hidden),
        "channels": tuple(channels),
        "kernel": kernel,
        "norm": norm,
        "norm_kwargs": norm_kwargs,
        "place": place,
        "sites": tuple(sites),
        "activation": activation,
    }
    agents = Agents(
        lambda: network(shape, **layout),
        seeds,
        rates,
        unpack=replay.unpack,
        recipe=use,
        loss=loss,
        double=double,
        clip=clip,
        optimizer=optimizer,
        target=target_every is not None,
        tau=tau,
        observe=(lambda: ObservationNorm(shape)) if normalize_observations else None,
        init=init,
        init_scale=init_scale,
        q_limit=10 * SCALES[env].reward_max * reward_scale / (1 - discount) if env in SCALES else float("inf"),
        compile=compile,
    )
    times = times_of((steps - starts) // train_every * updates) if probes is None else probes
    window, episodes = Window(members), Episodes(discount, observation)
    probing = Probing(agents, times, steps, episodes, reward_scale)
    heap, drawn = Heap(), draws(rng, actions, members, envs, coins=1 if use.sb3_loop else envs)
    period = target_every and (max(target_every // envs, 1) * envs if use.sb3_loop else target_every)
    together = envs if agents.acts_in == "batch" else EVALUATION_EPISODES

    for step in range(envs, steps + 1, envs):
        share = epsilon_at(step - envs, steps, epsilon)
        action, uniform = next(drawn)
        greedy = uniform >= share
        if normalize_observations:
            agents.meet(torch.from_numpy(observation))
        if (greedy.any() or agents.acting_updates) and not (use.sb3_loop and step - envs < starts):
            action = np.where(greedy, agents.act(torch.from_numpy(observation)).numpy(), action)
        result = environments.step(action.ravel())
        successor, reward, terminated, truncated = (
            x.reshape(members, envs, *x.shape[1:]) for x in (result[1], *result[2:])
        )
        if collect is None or step <= collect:
            replay.add(observation, successor, action, reward_scale * reward, discount * ~terminated)
        observation = result.observation.reshape(members, envs, *shape)
        episodes.step(reward, terminated | truncated, observation)

        # Multiples of train_every passed in this step and beyond `starts`: several where there are many environments.
        due = step // train_every - max(step - envs, starts) // train_every
        # So it is with copies, where the target follows faster than all environments step.
        copies = 0 if period is None else step // period - (step - envs) // period
        if copies and use.sb3_loop:
            agents.update_target(copies)
        for _ in range(due * updates):
            window.update(*probing.update(step, replay.sample(batch, generator)))
        if copies and not use.sb3_loop:
            agents.update_target(copies)
        last = step + envs > steps
        if last or step * RECORDS // steps > (step - envs) * RECORDS // steps:
            # An update may have been the last one before its damage was seen.
            agents.diverged |= ~agents.online.flat.isfinite().all(1)
            record: Record = {"step": step, "epsilon": share, "diverged": agents.diverged.tolist()}
            record |= {"return": episodes.take(), **window.take(), **probing.take()}
            if last:
                record["final_return"] = evaluate(agents, env, eval_seed, together=together).tolist()
                if save is not None:
                    save_agents(agents, Path(save), rates, shape, layout)
            heap.give_back()
            yield record
