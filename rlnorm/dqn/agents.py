"""A population of DQN agents: acting, and the update as a pure function of tensors so that it can be compiled whole."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlnorm.compiling import compiled
from rlnorm.dqn.losses import LOSSES, chosen, clip_by_norm, double_q_learning_target, q_learning_target
from rlnorm.dqn.recipes import Recipe
from rlnorm.dqn.replay import Batch
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import Population


class Agents:
    """N agents with an online and a target network each.

    build     makes one Q-network, (B, *shape) -> (B, actions)
    rates     one learning rate per agent
    unpack    what `update` is given -> Batch of s (N, B, *shape), inside the compiled update
    q_limit   |Q| beyond which an agent counts as diverged (rule: 10 r_max / (1 - gamma))
    compile   compile `update`, and `act` for one E (about 10 s the first time on a machine)

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
        init: str = "torch",
        init_scale: float = 1.0,
        q_limit: float = float("inf"),
        compile: bool = False,
    ):
        self.online = Population(build, seeds, init=init, init_scale=init_scale)
        self.target_parameters, self.target_buffers = self.online.state()
        self.optimizer = OPTIMIZERS[optimizer](self.online.flat, rates)
        self.recipe, self.loss, self.double, self.clip = recipe, LOSSES[loss], double, clip
        self.unpack, self.q_limit = unpack, q_limit
        self.diverged = torch.zeros(len(seeds), dtype=torch.bool)
        self.update: Callable[[Any], tuple[Tensor, Tensor]] = compiled(self._update) if compile else self._update
        self.act: Callable[[Tensor], Tensor] = compiled(self.greedy) if compile else self.greedy

    def _target(self, r_t: Tensor, discount_t: Tensor, s_t: Tensor) -> Tensor:
        mode = self.recipe.target
        with torch.no_grad():
            q_t = self.online.apply(self.target_parameters.views, self.target_buffers.views, s_t, mode)
            if not self.double:
                return q_learning_target(r_t, discount_t, q_t)
            return double_q_learning_target(r_t, discount_t, q_t, self.online(s_t, mode))

    def _update(self, sample: Any) -> tuple[Tensor, Tensor]:
        """One step of every agent on its own batch, as a replay samples it -> loss (N,), mean Q (N,)."""
        batch = self.unpack(sample)
        target = self._target(batch.r_t, batch.discount_t, batch.s_t)
        leaves = self.online.leaves()
        q_tm1 = self.online.apply(leaves, self.online.buffers.views, batch.s_tm1, self.recipe.online)
        loss = self.loss(chosen(q_tm1, batch.a_tm1), target).mean(-1)
        # The sum over members is a formality: no member's loss depends on another's parameters.
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
            self.optimizer.step(gradient if self.clip is None else clip_by_norm(gradient, self.clip))
            sane = loss.isfinite() & (q_tm1.abs().amax((1, 2)) <= self.q_limit)
            self.diverged.logical_or_(~sane)
        return loss.detach(), q_tm1.detach().mean((1, 2))

    def greedy(self, observations: Tensor) -> Tensor:
        """Greedy actions: (N, E, *shape) -> (N, E) int64, for any E."""
        return self.online(observations, self.recipe.acting).argmax(-1)

    def update_target(self) -> None:
        """Copy *all* state to the target: parameters and statistics."""
        self.target_parameters.copy_(self.online.parameters)
        self.target_buffers.copy_(self.online.buffers)
