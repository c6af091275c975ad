"""The DQN engine: a generator of records. The caller records, judges and stops.

Algorithm: Mnih et al. 2015; optionally double Q-learning (van Hasselt et al. 2016, arXiv:1509.06461), or no target
network. `rlnorm.dqn.settings` holds the settings, `rlnorm.dqn.schedule` what comes at which step.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.dqn.images import ImageReplay
from rlnorm.dqn.memory import Heap
from rlnorm.dqn.probing import Probing, times_of
from rlnorm.dqn.records import EVALUATION_EPISODES, Window, evaluate
from rlnorm.dqn.replay import Replay
from rlnorm.dqn.saved import save as save_agents
from rlnorm.dqn.settings import Settings
from rlnorm.errors import raise_if_any, unwritable
from rlnorm.networks import network
from rlnorm.nn import ObservationNorm
from rlnorm.tasks.environments import make, spaces

Record = dict[str, Any]


def draws(
    rng: np.random.Generator, actions: int, members: int, envs: int, coins: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each turn a random action (members, envs) and uniform numbers (members, coins), drawn many turns at once."""
    ahead = 256
    while True:
        yield from zip(rng.integers(actions, size=(ahead, members, envs)), rng.random((ahead, members, coins)))


def train(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    save: str | Path | None = None,
    **settings: Any,
) -> Iterator[Record]:
    """Train len(seeds) agents as one population, agent i from `seeds[i]` at learning rate `rates[i]`.

    `settings` are fields of `rlnorm.dqn.Settings`; those that are left out have its defaults.

    Yields up to 100 records, evenly spread over the budget, the last one at its end. A record holds step, epsilon and,
    per agent: return (mean over the training episodes that finished since the last record, NaN if none), loss and q (of
    scaled rewards; means since the last record, NaN if there was no update) and diverged. The last record also holds
    final_return: the mean of 20 greedy episodes. Some hold probes: layer -> probe -> a number per agent.

    With `save`, agent i is written to the file agent<i>.pt in that folder before the last record comes, and
    `rlnorm.dqn.load` makes a plain module of it. Raises ConfigError with all errors.

    The agents of a block share one stream of random numbers for acting and sampling: a block is repeatable, one of its
    agents alone is not. One torch thread is assumed.
    """
    given = {"env": env, "seeds": seeds, "rates": rates, "steps": steps, **settings}
    raise_if_any([*Settings.errors_in(given), *([] if save is None else unwritable("agents", "save", Path(save)))])
    run = Settings(**given)
    schedule, members, envs = run.schedule, len(run.seeds), run.envs
    shape, actions = spaces(run.env)
    block = np.random.SeedSequence(list(run.seeds))
    rng = np.random.default_rng(block)
    env_seed, eval_seed, sample_seed = (int(x) for x in block.generate_state(3))
    generator = torch.Generator().manual_seed(sample_seed)
    environments = make(run.env, members * envs)
    observation = environments.reset(env_seed).reshape(members, envs, *shape)
    if len(shape) > 1:
        replay = ImageReplay(members, run.buffer, shape, observation.dtype, envs)
    else:
        replay = Replay(members, run.buffer, shape)
    layout = {"outputs": actions, **run.layout}
    agents = Agents(
        lambda: network(shape, **layout),
        run.seeds,
        run.rates,
        unpack=replay.unpack,
        recipe=run.passes,
        loss=run.loss,
        double=run.double,
        clip=run.clip,
        optimizer=run.optimizer,
        target=run.target_every is not None,
        tau=run.tau,
        observation_norm=(lambda: ObservationNorm(shape)) if run.normalize_observations else None,
        init=run.init,
        init_scale=run.init_scale,
        q_limit=run.q_limit,
        compile=run.compile,
    )
    probes = times_of(run.total_updates) if run.probes is None else run.probes
    window, episodes = Window(members), Episodes(run.discount, observation)
    probing = Probing(agents, probes, run.steps, episodes, run.reward_scale)
    heap, drawn = Heap(), draws(rng, actions, members, envs, schedule.coins)
    together = envs if agents.acting_mode == "batch" else EVALUATION_EPISODES

    for turn in schedule:
        action, uniform = next(drawn)
        greedy = uniform >= turn.epsilon
        if run.normalize_observations:
            agents.observe(torch.from_numpy(observation))
        if not turn.only_random and (greedy.any() or agents.acting_updates):
            action = np.where(greedy, agents.act(torch.from_numpy(observation)).numpy(), action)
        result = environments.step(action.ravel())
        successor, reward, terminated, truncated = (
            x.reshape(members, envs, *x.shape[1:]) for x in (result[1], *result[2:])
        )
        if turn.stores:
            replay.add(observation, successor, action, run.reward_scale * reward, run.discount * ~terminated)
        observation = result.observation.reshape(members, envs, *shape)
        episodes.step(reward, terminated | truncated, observation)

        agents.update_target(turn.copies_before)
        for _ in range(turn.updates):
            window.update(*probing.update(turn.step, replay.sample(run.batch, generator)))
        agents.update_target(turn.copies_after)
        if turn.records:
            # The last update may have made parameters non-finite without any loss that shows it.
            agents.diverged |= ~agents.online.flat.isfinite().all(1)
            record: Record = {"step": turn.step, "epsilon": turn.epsilon, "diverged": agents.diverged.tolist()}
            record |= {"return": episodes.take(), **window.take(), **probing.take()}
            if turn.last:
                record["final_return"] = evaluate(agents, run.env, eval_seed, together=together).tolist()
                if save is not None:
                    save_agents(agents, Path(save), run.rates, shape, layout)
            heap.give_back()
            yield record
