"""A run of `rlnorm.dqn.train` with its parts in hand: more learners than the one that acts, and a look in between.

The loop is the engine's own, piece by piece; a test holds it to the engine's records.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlnorm.dqn import Settings
from rlnorm.dqn.agents import Agents
from rlnorm.dqn.collecting import Collector
from rlnorm.dqn.replay import Replay
from rlnorm.networks import network
from rlnorm.optimizers import Adam
from rlnorm.study.claim.dqn_setting import DQN_STUDY
from rlnorm.tasks.environments import make, spaces

COPY_EVERY = 50  # updates: every 500 steps of the study setting
OTHER_SEEDS = 500  # added to the seeds of learners that do not act, which else would begin as the one that does


def setting(env: str, seeds: Sequence[int], steps: int, rate: float = 1e-3, **changes: Any) -> Settings:
    """The study setting with `changes`, every agent at `rate`."""
    shared = {name: value for name, value in DQN_STUDY.items() if name != "lr"}
    given: dict[str, Any] = {**shared, "env": env, "seeds": seeds, "rates": [rate] * len(seeds), "steps": steps}
    return Settings(**{**given, **changes})


def agents(run: Settings, replay: Replay, offset: int = 0) -> Agents:
    """The agents of a run, from seeds that lie `offset` above its own."""
    shape, actions = spaces(run.env)
    return Agents(
        lambda: network(shape, actions, **run.layout),
        [seed + offset for seed in run.seeds],
        run.rates,
        unpack=replay.unpack,
        recipe=run.passes,
        loss=run.loss,
        compile=run.compile,
    )


class Live:
    """A run of the agents of `run`, and of others that learn from the same batches without acting.

    others   changes of the settings, one mapping for each population that does not act
    """

    def __init__(self, run: Settings, others: Sequence[Mapping[str, Any]] = ()):
        self.run, members, (shape, actions) = run, len(run.seeds), spaces(run.env)
        block = np.random.SeedSequence(list(run.seeds))
        rng = np.random.default_rng(block)
        env_seed, _, sample_seed = (int(x) for x in block.generate_state(3))
        self.generator = torch.Generator().manual_seed(sample_seed)
        environments = make(run.env, members * run.envs, run.environments)
        observation = environments.reset(env_seed).reshape(members, run.envs, *shape)
        self.replay = Replay(members, run.buffer, shape)
        self.agents = agents(run, self.replay)
        self.others = [agents(replace(run, **changes), self.replay, OTHER_SEEDS) for changes in others]
        self.collector = Collector(run, self.agents, self.replay, environments, observation, actions, rng)
        self.records = list[dict[str, Any]]()

    def turns(self) -> Iterator[int]:
        """Run, and stop at each record -> the steps so far."""
        run, everyone, episodes = self.run, [self.agents, *self.others], self.collector.episodes
        if run.offline:
            self.collector.fill()
        for turn in run.schedule:
            if not run.offline:
                self.collector.step(turn)
            for _ in range(turn.updates):
                sample = self.replay.sample(run.batch, self.generator)
                for each in everyone:
                    each.update(sample)
            for each in everyone:
                each.update_target(turn.copies_after)
            if turn.records:
                diverged = self.agents.diverged | ~self.agents.online.flat.isfinite().all(1)
                first = (run.envs * episodes.first_success()).tolist()
                record = {"step": turn.step, "diverged": diverged.tolist(), "return": episodes.take()}
                self.records.append({**record, "first_success": first})
                yield turn.step


def learn(agents: Agents, replay: Replay, updates: int, batch: int, generator: torch.Generator) -> None:
    """So many updates from what the replay holds, with the target copied as in the study setting."""
    for update in range(1, updates + 1):
        agents.update(replay.sample(batch, generator))
        agents.update_target(update % COPY_EVERY == 0)


def state(agents: Agents) -> list[Tensor]:
    """Everything that updates change, as it is now."""
    return [tensor.clone() for tensor in _tensors(agents)]


def restore(agents: Agents, before: Sequence[Tensor]) -> None:
    """Go back to an earlier `state`."""
    for tensor, earlier in zip(_tensors(agents), before, strict=True):
        tensor.copy_(earlier)


def _tensors(agents: Agents) -> Iterator[Tensor]:
    online, optimizer = agents.online, adam(agents)
    for rows in (online.parameters, online.buffers, agents.target_parameters, agents.target_buffers):
        yield from rows.matrices.values()
    yield from (optimizer.m, optimizer.v, optimizer.powers, optimizer.rates)


def adam(agents: Agents) -> Adam:
    """The optimizer of the study setting."""
    assert isinstance(agents.optimizer, Adam)
    return agents.optimizer
