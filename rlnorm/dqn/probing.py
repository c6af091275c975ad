"""Probes of every agent, measured around some of the updates of a run: `rlnorm.probes` for many agents at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.probes import NETWORK, Moments, State, overestimation, plain, probe

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

    episodes      of the same agents, with their discount
    reward_scale  factor of the rewards that agents learn from
    """

    def __init__(self, agents: Agents, times: int, steps: int, episodes: Episodes, reward_scale: float = 1.0):
        self._agents, self._times, self._steps = agents, times, steps
        self._episodes, self._reward_scale = episodes, reward_scale
        self._network = agents.online.member(0)
        self._next, self._earlier, self._values = 0, dict[str, Moments](), dict[str, Any]()

    def update(self, step: int, sample: Any) -> tuple[Tensor, Tensor]:
        """`Agents.update` after `step` steps, with a probe if one is due."""
        part = (step - 1) * self._times // self._steps
        if not self._times or part < self._next:
            return self._agents.update(sample)
        self._next = part + 1
        agents = self._agents
        state = State(agents.online.parameters.views, agents.online.buffers.views)
        given: dict[str, Any] = {"gradients": agents.gradients(sample), "after": state.parameters}
        if agents.target:
            given["target"] = State(agents.target_parameters.views, agents.target_buffers.views).copy()
        if self._earlier:
            given["earlier"] = self._earlier
        before, bias = state.copy(), self._overestimation()
        result = agents.update(sample)
        self._values = self._measure(before, sample, given, bias)
        return result

    def take(self) -> dict[str, Any]:
        """The last measurement as part of a record, {"probes": layer -> probe -> one per agent}; {} if taken before."""
        values, self._values = self._values, {}
        return {"probes": values} if values else {}

    def _overestimation(self) -> Tensor:
        """One value per agent, under the statistics that it acts with."""
        began, discounted_return = map(torch.from_numpy, self._episodes.last())
        return vmap(overestimation)(self._agents.q(began).amax(-1), self._reward_scale * discounted_return)

    def _measure(self, state: State, sample: Any, given: Mapping[str, Any], bias: Tensor) -> dict[str, Any]:
        x = self._agents.read(self._agents.unpack(sample).s_tm1)
        if x.shape[1] == 1:  # together with a copy of itself, as in `Agents`
            x = torch.cat([x, x], 1)
        found = vmap(lambda s, x, given: probe(self._network, s, x, **given))(state, x, given)
        self._earlier = found.inputs
        found.values.setdefault(NETWORK, {})["overestimation"] = bias.float()
        return {layer: {n: _short(v) for n, v in probes.items()} for layer, probes in plain(found.values).items()}


def _short(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
