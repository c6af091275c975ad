"""Probes of every agent, taken now and then around an update that is made anyway: `rlnorm.probes`, many at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.episodes import Episodes
from rlnorm.probes import NETWORK, Moments, State, overestimation, plain, probe

MOST, APART = 20, 300  # probes of a run, and updates between two: one takes the time of about ten
DIGITS = 4  # of a probe in a record: more would say nothing and fill the store


def times_of(updates: int) -> int:
    """How often a run of so many updates is probed where nothing is said: so that it costs 5 % at most, yet once."""
    return max(1, min(MOST, updates // APART))


class Probing:
    """Probes of `agents`, at the first update in each of `times` equal parts of a run of `steps` steps.

    The batch is the one that is learned from, in the online network's terms (rows of s), and networks are as they were
    before that; effective rates compare them with those after it. Inputs drift from one probe to the next.

    Overestimation is that of the values that agents act by (under batch statistics, of the beginnings in all of an
    agent's environments together). Returns are those of the last training episode in each environment, exploration
    included, discounted from its beginning; an episode that was cut off counts as far as it went.

    episodes      of the same agents, discounted as they learn
    reward_scale  of the rewards that they learn from
    """

    def __init__(self, agents: Agents, times: int, steps: int, episodes: Episodes, reward_scale: float = 1.0):
        self._agents, self._times, self._steps = agents, times, steps
        self._episodes, self._reward_scale = episodes, reward_scale
        self._network = agents.online.member(0)
        self._next, self._earlier, self._values = 0, dict[str, Moments](), dict[str, Any]()

    def update(self, step: int, sample: Any) -> tuple[Tensor, Tensor]:
        """`Agents.update` after `step` steps; measured before it where it is time to."""
        part = (step - 1) * self._times // self._steps
        if not self._times or part < self._next:
            return self._agents.update(sample)
        self._next = part + 1
        agents = self._agents
        own = State(agents.online.parameters.views, agents.online.buffers.views)
        given: dict[str, Any] = {"gradients": agents.gradients(sample), "after": own.parameters}
        if agents.target:
            given["target"] = State(agents.target_parameters.views, agents.target_buffers.views).copy()
        if self._earlier:
            given["earlier"] = self._earlier
        before, bias = own.copy(), self._overestimation()
        result = agents.update(sample)
        self._values = self._measure(before, sample, given, bias)
        return result

    def take(self) -> dict[str, Any]:
        """What was measured since the last call as a record holds it: {"probes": layer -> probe -> one per agent}."""
        values, self._values = self._values, {}
        return {"probes": values} if values else {}

    def _overestimation(self) -> Tensor:
        """One value per agent, in the statistics that it acts with."""
        began, brought = map(torch.from_numpy, self._episodes.last())
        return vmap(overestimation)(self._agents.q(began).amax(-1), self._reward_scale * brought)

    def _measure(self, state: State, sample: Any, given: Mapping[str, Any], bias: Tensor) -> dict[str, Any]:
        x = self._agents.read(self._agents.unpack(sample).s_tm1)
        if x.shape[1] == 1:  # as in `Agents`: beside a copy of itself
            x = torch.cat([x, x], 1)
        found = vmap(lambda s, x, given: probe(self._network, s, x, **given))(state, x, given)
        self._earlier = found.inputs
        found.values.setdefault(NETWORK, {})["overestimation"] = bias.float()
        return {layer: {n: _short(v) for n, v in probes.items()} for layer, probes in plain(found.values).items()}


def _short(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
