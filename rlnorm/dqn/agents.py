"""A population of DQN agents: acting, and an update that is a pure function of tensors, so that it compiles whole."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from rlnorm.compiling import compiled
from rlnorm.dqn.losses import LOSSES, chosen, double_q_learning_target, q_learning_target
from rlnorm.dqn.recipes import Recipe
from rlnorm.dqn.replay import Batch
from rlnorm.nn import Mode, set_mode
from rlnorm.optimizers import OPTIMIZERS, Adam, clip_by_norm
from rlnorm.population import Population, Rows, Tensors

P = ParamSpec("P")
R = TypeVar("R")

# mode -> the mode that normalizes with the same statistics and updates none.
FROZEN: dict[Mode, Mode] = {"train": "batch", "batch": "batch", "eval": "eval", "track": "eval"}


class Agents:
    """N agents, each with an online network and, if `target`, a target network.

    build     makes one Q-network, (B, *shape) -> (B, actions)
    rates     one learning rate per agent
    unpack    turns what a replay samples into a Batch with s (N, B, *shape); it is compiled with the update
    target    whether there are target networks; without them the online network values s'
    tau       fraction of the online parameters that the target takes in a copy
    observation_norm   makes the layer by which one agent standardizes its observations (`rlnorm.nn.ObservationNorm`);
              None: observations stay as they are
    q_limit   |Q| beyond which an update counts as `beyond`
    compile   compile `update`, `act` and `observe`, the last two for one E (about 10 s the first time on a machine)

    `diverged` (N,) bool stays set once an agent's loss or Q is not finite. `beyond` (N,) int64 counts the updates whose
    |Q| was not within the limit, from which an agent can come back. No operation mixes agents, so that a NaN of one
    agent reaches no other.
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
        observation_norm: Callable[[], nn.Module] | None = None,
        init: str = "torch",
        init_scale: float = 1.0,
        q_limit: float = float("inf"),
        compile: bool = False,
    ):
        self.online = Population(build, seeds, init=init, init_scale=init_scale)
        # Without a target network these are the online network's.
        online = (self.online.parameters, self.online.buffers)
        self.target_parameters, self.target_buffers = self.online.state() if target else online
        self.first_buffers = self.online.state()[1]
        self.observation_norm = None if observation_norm is None else Population(observation_norm, seeds)
        self.optimizer = OPTIMIZERS[optimizer](self.online.flat, rates)
        self.recipe, self.loss, self.double, self.clip = recipe, LOSSES[loss], double, clip
        self.unpack, self.target, self.tau, self.q_limit = unpack, target, tau, q_limit
        self.diverged = torch.zeros(len(seeds), dtype=torch.bool)
        self.beyond = torch.zeros(len(seeds), dtype=torch.int64)
        maybe = compiled if compile else _unchanged
        # Inductor fails on the clip and these optimizers' state together (github.com/pytorch/pytorch/issues/196570).
        apart = compile and clip is not None and not isinstance(self.optimizer, Adam)
        self._learned_from: Callable[[Any], tuple[Tensor, Tensor, Tensor]] = (
            compiled(self._gradient) if apart else self._gradient
        )
        self.update: Callable[[Any], tuple[Tensor, Tensor]] = self._update if apart else maybe(self._update)
        self.act: Callable[[Tensor], Tensor] = maybe(self._act)
        self.observe: Callable[[Tensor], None] = maybe(self._observe)

    def _update(self, sample: Any) -> tuple[Tensor, Tensor]:
        """One step of every agent on its own batch, as a replay samples it. -> loss (N,), mean Q (N,)"""
        gradient, loss, q_tm1 = self._learned_from(sample)
        with torch.no_grad():
            self.optimizer.step(gradient)
            largest = q_tm1.abs().amax((1, 2))
            self.diverged.logical_or_(~(loss.isfinite() & largest.isfinite()))
            self.beyond.add_(~(largest <= self.q_limit))
        return loss, q_tm1.mean((1, 2))

    def _gradient(self, sample: Any) -> tuple[Tensor, Tensor, Tensor]:
        """-> gradient of all parameters (N, P), clipped; loss (N,); Q of s (N, B, actions)."""
        batch = self.unpack(sample)
        leaves = self.online.leaves()
        q_tm1, q_t, q_t_online = self._values(leaves, self.read(batch.s_tm1), self.read(batch.s_t))
        if self.double:
            goal = double_q_learning_target(batch.r_t, batch.discount_t, q_t, q_t_online)
        else:
            goal = q_learning_target(batch.r_t, batch.discount_t, q_t)
        loss = self.loss(chosen(q_tm1, batch.a_tm1), goal).mean(-1)
        # autograd takes one scalar. No agent's loss depends on another's parameters, so the sum changes no gradient.
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
            gradient = gradient if self.clip is None else clip_by_norm(gradient, self.clip)
        return gradient, loss.detach(), q_tm1.detach()

    def gradients(self, sample: Any) -> Tensors:
        """The gradients that `update` would give the optimizer, by parameter, (N, *shape) each; changes nothing."""
        rows, updated = deepcopy(self.online.parameters), (self.online.buffers, self.target_buffers)
        before = deepcopy(updated)
        rows.matrices[torch.float32].copy_(self._gradient(sample)[0])
        for buffers, first in zip(updated, before):
            buffers.copy_(first)
        return rows.views

    def _values(self, leaves: Tensors, s_tm1: Tensor, s_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> Q of s, with gradient; Q of s' to bootstrap from; the online network's Q of s'. (N, B, actions) each.

        Passes over s' come first: if they update running statistics, s enters these last. The third result is empty
        where nothing needs it.
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
            # Together with a copy of itself a row gets what one row by itself would give: xhat = 0, variance 0.
            return self.online.apply(parameters, buffers.views, torch.cat([x, x], 1), mode)[:, :1]
        return self.online.apply(parameters, buffers.views, x, mode)

    def read(self, observations: Tensor) -> Tensor:
        """Observations -> the networks' inputs, both (N, B, *shape)."""
        return observations if self.observation_norm is None else self.observation_norm(observations.float())

    def _act(self, observations: Tensor) -> Tensor:
        with torch.no_grad():
            return self._q(observations, self.recipe.acting).argmax(-1)

    def greedy(self, observations: Tensor) -> Tensor:
        """Greedy actions, (N, E, *shape) -> (N, E) int64, for any E; updates no statistics.

        `act` does the same for one E, and updates running statistics if the recipe says so.
        """
        return self.q(observations).argmax(-1)

    def q(self, observations: Tensor) -> Tensor:
        """The values whose maximum `greedy` takes: (N, E, *shape) -> (N, E, actions), for any E."""
        with torch.no_grad():
            return self._q(observations, self.acting_mode)

    @property
    def acting_updates(self) -> bool:
        """Whether acting updates running statistics: then every step must act, even if all actions are random."""
        return self.recipe.acting != self.acting_mode

    @property
    def acting_mode(self) -> Mode:
        """The mode that acts with the recipe's statistics and updates none."""
        return FROZEN[self.recipe.acting]

    def member(self, i: int) -> nn.Sequential:
        """Agent i as a plain module, float32 observations (B, *shape) -> Q (B, actions).

        The module is in `acting_mode`, so that its greedy actions are the agent's. If observations are standardized,
        its first layer, named `observations`, does it. An agent with `batch_of_one` acts on a single row as this module
        does on a batch of that row and a copy of it.
        """
        network = self.online.member(i)
        assert isinstance(network, nn.Sequential)
        if self.observation_norm is not None:
            network = with_observations(self.observation_norm.member(i), network)
        return set_mode(network, self.acting_mode)

    def _q(self, observations: Tensor, mode: Mode) -> Tensor:
        return self._run(self.online.parameters.views, self.online.buffers, self.read(observations), mode)

    def _observe(self, observations: Tensor) -> None:
        """Observations (N, E, *shape) enter the statistics by which observations are standardized."""
        if self.observation_norm is not None:
            self.observation_norm(observations.float(), "train")

    def update_target(self, times: int = 1) -> None:
        """Make `times` target copies: parameters move by `tau`, statistics do what the recipe says."""
        if not times:
            return
        assert self.target
        fraction = 1 - (1 - self.tau) ** times
        for dtype, matrix in self.target_parameters.matrices.items():
            matrix.lerp_(self.online.parameters.matrices[dtype], fraction)
        if self.recipe.statistics != "own":
            copied = self.recipe.statistics == "copied"
            self.target_buffers.copy_(self.online.buffers if copied else self.first_buffers)


def with_observations(norm: nn.Module, network: nn.Sequential) -> nn.Sequential:
    """`norm`, named `observations`, followed by the layers of `network` under their names."""
    return nn.Sequential(OrderedDict([("observations", norm), *network.named_children()]))


def _unchanged(function: Callable[P, R]) -> Callable[P, R]:
    return function
