"""Agents that learn alone, one by one, with torch's modules and optimizers: what a population of agents is held to."""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import resolve
from rlnorm.dqn.replay import unpack
from rlnorm.nn import set_mode
from tests.alone import INPUTS, OUTPUTS, alone, assert_members_are, build, torch_optimizer

SEEDS, SCALES, RATES, BATCH = (3, 1, 3), (1.0, 0.5, 2.0), (1e-2, 3e-3, 3e-2), 16


def agents_of(norm: str, recipe: str = "supervised", modes: dict[str, Any] | None = None, **options) -> Agents:
    return Agents(
        lambda: build(norm),
        SEEDS,
        RATES,
        unpack=partial(unpack, shape=(INPUTS,)),
        recipe=resolve(recipe, modes),
        init_scale=SCALES,  # pyright: ignore[reportArgumentType] (a factor each, as Population takes them)
        **options,
    )


def transitions(rng: torch.Generator, members: int = len(SEEDS), batch: int = BATCH, inputs: int = INPUTS) -> Tensor:
    """Packed rows (members, batch, 2 inputs + 3); a third of them end an episode."""
    s = torch.randn(members, batch, 2 * inputs, generator=rng) * 2 + 1
    a = torch.randint(OUTPUTS, (members, batch, 1), generator=rng).float()
    r = torch.randn(members, batch, 1, generator=rng) * 3
    d = 0.9 * (torch.rand(members, batch, 1, generator=rng) > 1 / 3)
    return torch.cat([s, a, r, d], dim=-1)


class Alone:
    """One agent: DQN as its papers write it, on plain modules, with the modes of a recipe."""

    def __init__(
        self, online, rate, recipe, loss="squared", double=False, clip=None, optimizer="adam", target=True, tau=1
    ):
        self.online, self.recipe, self.loss, self.double, self.clip, self.tau = online, recipe, loss, double, clip, tau
        self.target: nn.Module | None = deepcopy(online) if target else None
        self.first = deepcopy(dict(online.named_buffers()))
        self.rule = torch_optimizer(optimizer, online, rate)

    def update(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Packed rows (B, .) -> loss and mean Q."""
        s, s_next, (a, r, d) = rows[:, :INPUTS], rows[:, INPUTS : 2 * INPUTS], rows[:, 2 * INPUTS :].unbind(1)
        count, every = len(rows), torch.arange(len(rows))
        both, recipe = torch.cat([s, s_next]), self.recipe
        values = select = torch.zeros(0)
        if self.target is not None:
            with torch.no_grad():
                net = set_mode(self.target, recipe.target)
                values = net(both)[count:] if recipe.joint else net(s_next)
        if recipe.joint:
            q, select = set_mode(self.online, recipe.online)(both).split(count)
            select = select.detach()
        else:
            if self.double or self.target is None:
                with torch.no_grad():
                    select = set_mode(self.online, recipe.successor)(s_next)
            q = set_mode(self.online, recipe.online)(s)
        if self.target is None:
            values = select
        goal = r + d * values[every, (select if self.double else values).argmax(1)]
        chosen = q[every, a.long()]
        value = F.mse_loss(chosen, goal) if self.loss == "squared" else F.smooth_l1_loss(chosen, goal)
        self.rule.zero_grad()
        value.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.online.parameters(), self.clip)
        self.rule.step()
        return value.detach(), q.detach().mean()

    @torch.no_grad()
    def update_target(self) -> None:
        if self.target is None:
            return
        for own, other in zip(self.target.parameters(), self.online.parameters(), strict=True):
            own.copy_((1 - self.tau) * own + self.tau * other)
        taken = {"copied": dict(self.online.named_buffers()), "own": {}, "forgotten": self.first}
        for name, value in taken[self.recipe.statistics].items():
            self.target.get_buffer(name).copy_(value)


def compare(
    norm: str,
    rng: torch.Generator,
    recipe: str = "supervised",
    modes: dict[str, Any] | None = None,
    *,
    steps: int = 12,
    compile: bool = False,
    **options,
) -> None:
    """A population learns what its agents learn alone: losses, values, parameters and statistics of both networks."""
    options = {"loss": "squared", **options}
    agents = agents_of(norm, recipe, modes, compile=compile, **options)
    singles = [
        Alone(network, rate, resolve(recipe, modes), **options)
        for network, rate in zip(alone(norm, SEEDS, SCALES), RATES, strict=True)
    ]
    for step in range(steps):
        rows = transitions(rng)
        losses, q = agents.update(rows)
        for i, single in enumerate(singles):
            loss, mean_q = single.update(rows[i])
            torch.testing.assert_close(losses[i], loss, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(q[i], mean_q, rtol=1e-3, atol=1e-4)
        if step % 4 == 3 and agents.target:
            agents.update_target()
            for single in singles:
                single.update_target()
    assert_members_are(agents.online, [single.online for single in singles])
    targets = [single.target for single in singles if single.target is not None]
    if targets:
        both = deepcopy(agents.online)
        both.parameters, both.buffers = agents.target_parameters, agents.target_buffers
        assert_members_are(both, targets)
