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
from rlnorm.dqn.collecting import Collector
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
    per agent:

    return     mean over the training episodes that finished since the last record; NaN if none did
    loss, q    of scaled rewards, means over the updates since the last record; NaN if there was none
    beyond     fraction of these updates whose |Q| was beyond `Settings.q_limit`; NaN if there was none
    diverged   whether its loss, Q or parameters have become non-finite

    The last record also holds final_return, the mean of 20 greedy episodes, and first_success: the step at which a
    training episode first met the goal (`Scale.success`); NaN if none did. Some hold probes: layer -> probe -> a number
    per agent; a few of them a snapshot of the first agent too (`rlnorm.probes.snapshots`).

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
    environments = make(run.env, members * envs, run.environments)
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
    collector = Collector(run, agents, replay, environments, observation, actions, rng)
    episodes, window = collector.episodes, Window(agents)
    probes = times_of(run.total_updates) if run.probes is None else run.probes
    probing = Probing(agents, probes, run.steps, episodes, run.reward_scale)
    heap = Heap()
    together = envs if agents.acting_mode == "batch" else EVALUATION_EPISODES
    if run.offline:
        collector.fill()

    for turn in schedule:
        if not run.offline:
            collector.step(turn)
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
                final = evaluate(agents, run.env, eval_seed, together=together, backend=run.environments)
                record |= {"final_return": final.tolist(), "first_success": (envs * episodes.first_success()).tolist()}
                if save is not None:
                    save_agents(agents, Path(save), run.rates, shape, layout)
            heap.give_back()
            yield record
