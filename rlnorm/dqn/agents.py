"""A population of DQN agents: acting, and the update as a pure function of tensors so that it can be compiled whole."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from rlnorm.compiling import compiled
from rlnorm.dqn.losses import LOSSES, chosen, clip_by_norm, double_q_learning_target, q_learning_target
from rlnorm.dqn.recipes import Recipe
from rlnorm.dqn.replay import Batch
from rlnorm.nn import Mode, set_mode
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import Population, Rows, Tensors

P = ParamSpec("P")
R = TypeVar("R")

# The mode that normalizes in the same way and updates nothing.
FROZEN: dict[Mode, Mode] = {"train": "batch", "batch": "batch", "eval": "eval", "track": "eval"}


class Agents:
    """N agents with an online and, unless they go without, a target network each.

    build     makes one Q-network, (B, *shape) -> (B, actions)
    rates     one learning rate per agent
    unpack    what `update` is given -> Batch of s (N, B, *shape), inside the compiled update
    target    whether there are target networks; without, the online network values s' itself
    tau       share of the online parameters that `update_target` takes over
    observe   makes what one agent standardizes its observations with (`rlnorm.nn.ObservationNorm`); None: nothing
    q_limit   |Q| beyond which an agent counts as diverged (rule: 10 r_max / (1 - gamma))
    compile   compile `update`, `act` and `meet`, the latter for one E (about 10 s the first time on a machine)

    `diverged` (N,) bool stays set once an agent's loss is non-finite or its Q beyond the limit. One member's NaN stays
    its own: nothing here mixes rows.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        seeds: Sequence[int],
        rates: Sequence[float],
        *,
        unpack: Callable[[Any], Batch],
        recipe: Recipe,
        loss: str = "huber",
        double: bool = False,
        clip: float | None = None,
        optimizer: str = "adam",
        target: bool = True,
        tau: float = 1.0,
        observe: Callable[[], nn.Module] | None = None,
        init: str = "torch",
        init_scale: float = 1.0,
        q_limit: float = float("inf"),
        compile: bool = False,
    ):
        self.online = Population(build, seeds, init=init, init_scale=init_scale)
        # Without a target network the online one stands in its place.
        online = (self.online.parameters, self.online.buffers)
        self.target_parameters, self.target_buffers = self.online.state() if target else online
        self.first_buffers = self.online.state()[1]
        self.observations = None if observe is None else Population(observe, seeds)
        self.optimizer = OPTIMIZERS[optimizer](self.online.flat, rates)
        self.recipe, self.loss, self.double, self.clip = recipe, LOSSES[loss], double, clip
        self.unpack, self.target, self.tau, self.q_limit = unpack, target, tau, q_limit
        self.diverged = torch.zeros(len(seeds), dtype=torch.bool)
        maybe = compiled if compile else _as_it_is
        self.update: Callable[[Any], tuple[Tensor, Tensor]] = maybe(self._update)
        self.act: Callable[[Tensor], Tensor] = maybe(self._act)
        self.meet: Callable[[Tensor], None] = maybe(self._meet)

    def _update(self, sample: Any) -> tuple[Tensor, Tensor]:
        """One step of every agent on its own batch, as a replay samples it -> loss (N,), mean Q (N,)."""
        gradient, loss, q_tm1 = self._gradient(sample)
        with torch.no_grad():
            self.optimizer.step(gradient)
            sane = loss.isfinite() & (q_tm1.abs().amax((1, 2)) <= self.q_limit)
            self.diverged.logical_or_(~sane)
        return loss.detach(), q_tm1.detach().mean((1, 2))

    def _gradient(self, sample: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient of all parameters (N, P), clipped; loss (N,); Q of s (N, B, actions)."""
        batch = self.unpack(sample)
        leaves = self.online.leaves()
        q_tm1, q_t, q_t_online = self._values(leaves, self.read(batch.s_tm1), self.read(batch.s_t))
        if self.double:
            goal = double_q_learning_target(batch.r_t, batch.discount_t, q_t, q_t_online)
        else:
            goal = q_learning_target(batch.r_t, batch.discount_t, q_t)
        loss = self.loss(chosen(q_tm1, batch.a_tm1), goal).mean(-1)
        # The sum over members is a formality: no member's loss depends on another's parameters.
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
            return gradient if self.clip is None else clip_by_norm(gradient, self.clip), loss, q_tm1

    def gradients(self, sample: Any) -> Tensors:
        """What `update` would give the optimizer, by name of the parameter, (N, *shape) each; nothing changes."""
        rows, own = deepcopy(self.online.parameters), (self.online.buffers, self.target_buffers)
        kept = [deepcopy(buffers) for buffers in own]
        rows.matrices[torch.float32].copy_(self._gradient(sample)[0])
        for buffers, before in zip(own, kept):
            buffers.copy_(before)
        return rows.views

    def _values(self, leaves: Tensors, s_tm1: Tensor, s_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Q of s with gradient; Q of s' that is bootstrapped from, and the online network's. (N, B, actions) each.

        Passes over s' come first: where they feed running statistics, those of s enter last. The third is the second
        where no pass of its own is needed.
        """
        recipe, count = self.recipe, s_tm1.shape[1]
        joint = torch.cat([s_tm1, s_t], 1) if recipe.joint else s_t
        with torch.no_grad():
            q_t = q_t_online = torch.empty(0)
            if self.target:
                x = s_t if recipe.target == "eval" else joint
                q_t = self._run(self.target_parameters.views, self.target_buffers, x, recipe.target)[:, -count:]
            if not recipe.joint and (self.double or not self.target):
                q_t_online = self._run(self.online.parameters.views, self.online.buffers, s_t, recipe.successor)
        q = self._run(leaves, self.online.buffers, joint if recipe.joint else s_tm1, recipe.online)
        if recipe.joint:
            q_t_online = q[:, count:].detach()
        return q[:, :count], q_t if self.target else q_t_online, q_t_online

    def _run(self, parameters: Tensors, buffers: Rows, x: Tensor, mode: Mode) -> Tensor:
        if self.recipe.batch_of_one and x.shape[1] == 1 and mode != "eval":
            # Beside a copy of itself a row has what it would have alone: xhat = 0, variance 0.
            return self.online.apply(parameters, buffers.views, torch.cat([x, x], 1), mode)[:, :1]
        return self.online.apply(parameters, buffers.views, x, mode)

    def read(self, observations: Tensor) -> Tensor:
        """Observations -> what the networks are given, both (N, B, *shape)."""
        return observations if self.observations is None else self.observations(observations.float())

    def _act(self, observations: Tensor) -> Tensor:
        with torch.no_grad():
            return self._acted_on(observations, self.recipe.acting).argmax(-1)

    def greedy(self, observations: Tensor) -> Tensor:
        """Greedy actions, and no statistic changes: (N, E, *shape) -> (N, E) int64, for any E.

        `act` is the same, for one E, except that it updates running statistics where the recipe says so.
        """
        return self.q(observations).argmax(-1)

    def q(self, observations: Tensor) -> Tensor:
        """The values that `greedy` chooses by: (N, E, *shape) -> (N, E, actions), for any E."""
        with torch.no_grad():
            return self._acted_on(observations, self.acts_in)

    @property
    def acting_updates(self) -> bool:
        """Whether acting feeds running statistics: then no step may go without, whatever coins are tossed."""
        return self.recipe.acting != self.acts_in

    @property
    def acts_in(self) -> Mode:
        """The mode whose statistics actions are taken with, which updates none."""
        return FROZEN[self.recipe.acting]

    def member(self, i: int) -> nn.Sequential:
        """Agent i as a plain module of its own, float32 observations (B, *shape) -> Q (B, actions).

        It is in the mode that agents act in ("eval" but for recipes that say otherwise), so that its greedy actions are
        the agent's. Where observations are standardized, its first layer, `observations`, does so. An agent that
        normalizes a single row by itself (`batch_of_one`) acts as this module does on that row beside a copy of it.
        """
        network = self.online.member(i)
        assert isinstance(network, nn.Sequential)
        if self.observations is not None:
            network = with_observations(self.observations.member(i), network)
        return set_mode(network, self.acts_in)

    def _acted_on(self, observations: Tensor, mode: Mode) -> Tensor:
        return self._run(self.online.parameters.views, self.online.buffers, self.read(observations), mode)

    def _meet(self, observations: Tensor) -> None:
        """Let observations (N, E, *shape) enter the statistics that observations are standardized with."""
        if self.observations is not None:
            self.observations(observations.float(), "train")

    def update_target(self, times: int = 1) -> None:
        """Move the target's parameters by `tau`, so many times, and do with its statistics what the recipe says."""
        assert self.target
        share = 1 - (1 - self.tau) ** times
        for dtype, matrix in self.target_parameters.matrices.items():
            matrix.lerp_(self.online.parameters.matrices[dtype], share)
        if self.recipe.statistics != "own":
            copied = self.recipe.statistics == "copied"
            self.target_buffers.copy_(self.online.buffers if copied else self.first_buffers)


def with_observations(norm: nn.Module, network: nn.Sequential) -> nn.Sequential:
    """`network` behind what standardizes its observations, as one network whose layers keep their names."""
    return nn.Sequential(OrderedDict([("observations", norm), *network.named_children()]))


def _as_it_is(function: Callable[P, R]) -> Callable[P, R]:
    return function
