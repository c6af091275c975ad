"""Probes of every agent, measured around some of the updates of a run: `rlnorm.probes` for many agents at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.probes import NETWORK, Moments, State, Times, overestimation, plain, probe, snapshot

MOST, APART = 20, 300  # most probes of a run, and updates between two: a probe takes as long as about ten updates
DIGITS = 4  # of a probe in a record: noise is larger than the next digit


def times_of(updates: int) -> int:
    """Default number of probes of a run of `updates` updates: they take 5 % of its time at most; at least one."""
    return max(1, min(MOST, updates // APART))


class Probing:
    """Probes of `agents`, at the first update in each of `times` equal parts of a run of `steps` steps.

    The inputs are the s of the batch that is learned from, and the networks are those before the update; effective
    rates compare them with those after it. Drift of inputs is measured from one probe to the next.

    Overestimation is that of the values that agents act by, at the beginnings of episodes. Under batch statistics the
    beginnings in all of an agent's environments form one batch. They are compared with the discounted return of the
    last training episode in each environment, with exploration; a truncated episode counts up to its end.

    With some of the probes goes a snapshot (`rlnorm.probes.snapshots`) of the first agent.

    episodes      of the same agents, with their discount
    reward_scale  factor of the rewards that agents learn from
    """

    def __init__(self, agents: Agents, times: int, steps: int, episodes: Episodes, reward_scale: float = 1.0):
        self._agents, self._times = agents, Times(times, steps)
        self._episodes, self._reward_scale = episodes, reward_scale
        self._network = agents.online.member(0)
        self._earlier, self._taken = dict[str, Moments](), dict[str, Any]()

    def update(self, step: int, sample: Any) -> tuple[Tensor, Tensor]:
        """`Agents.update` after `step` steps, with a probe if one is due."""
        agents = self._agents
        due, snapshot_due = self._times.due(step)
        if not due:
            return agents.update(sample)
        state = State(agents.online.parameters.views, agents.online.buffers.views)
        given: dict[str, Any] = {"gradients": agents.gradients(sample), "after": state.parameters}
        if agents.target:
            given["target"] = State(agents.target_parameters.views, agents.target_buffers.views).copy()
        if self._earlier:
            given["earlier"] = self._earlier
        before, bias = state.copy(), self._overestimation()
        result = agents.update(sample)
        x = self._inputs(sample)
        self._taken["probes"] = self._measure(before, x, given, bias)
        if snapshot_due:
            own = {name: gradient[0] for name, gradient in given["gradients"].items()}
            self._taken["snapshot"] = snapshot(self._network, before.member(0), x[0], gradients=own)
        return result

    def take(self) -> dict[str, Any]:
        """What was measured last, as part of a record; what was taken before is not in it.

        "probes" is layer -> probe -> one per agent, and "snapshot" layer -> what -> histogram.
        """
        taken, self._taken = self._taken, {}
        return taken

    def _overestimation(self) -> Tensor:
        """One value per agent, under the statistics that it acts with."""
        began, discounted_return = map(torch.from_numpy, self._episodes.last())
        return vmap(overestimation)(self._agents.q(began).amax(-1), self._reward_scale * discounted_return)

    def _inputs(self, sample: Any) -> Tensor:
        x = self._agents.read(self._agents.unpack(sample).s_tm1)
        # A single row goes together with a copy of itself, as in `Agents`.
        return torch.cat([x, x], 1) if x.shape[1] == 1 else x

    def _measure(self, state: State, x: Tensor, given: Mapping[str, Any], bias: Tensor) -> dict[str, Any]:
        found = vmap(lambda s, x, given: probe(self._network, s, x, **given))(state, x, given)
        self._earlier = found.inputs
        found.values.setdefault(NETWORK, {})["overestimation"] = bias.float()
        return {layer: {n: _short(v) for n, v in probes.items()} for layer, probes in plain(found.values).items()}


def _short(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
