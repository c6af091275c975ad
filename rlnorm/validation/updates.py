"""Our DQN's update beside stable-baselines3's: the same weights, then the same batches, and how far they part.

In float32 rounding alone can grow to any size: where an activation or a target lies on an edge (ReLU, the greedy
action), the last bit decides which side a value is on. In float64 both compute the same unless the algorithms differ.
stable-baselines3 against itself, one weight one unit in the last place off, says how much float32 alone comes to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple, Protocol, cast

import gymnasium as gym
import torch
from stable_baselines3 import DQN
from torch import Tensor, nn

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.networks import mlp
from rlnorm.optimizers import Adam
from rlnorm.population import Population, Rows
from rlnorm.sb3 import DQNPolicy

RATE, GAMMA, COPY_EVERY = 1e-3, 0.99, 100


@dataclass(frozen=True)
class Setting:
    """What both sides have: Huber loss, Adam at 1e-3, gamma 0.99, targets copied every 100 updates, and these.

    Both begin with the same float32 weights, and batches are drawn as float32, whatever they are computed in.
    """

    norm: str
    clip: float
    dtype: torch.dtype = torch.float32
    hidden: tuple[int, ...] = (64, 64)
    batch: int = 64

    def network(self) -> nn.Module:
        """Observations (B, 4) -> Q (B, 2)."""
        return mlp(4, 2, hidden=self.hidden, norm=self.norm)


class Transitions(NamedTuple):
    """A batch: s, s_next (B, 4), a int64, r, ended (B, 1)."""

    s: Tensor
    s_next: Tensor
    a: Tensor
    r: Tensor
    ended: Tensor


class Side(Protocol):
    """One DQN; `weights` (P,) are those of its online network, in the order of the layers."""

    @property
    def weights(self) -> Tensor: ...

    def update(self, batch: Transitions) -> None: ...

    def copy_target(self) -> None: ...


class Theirs:
    """stable-baselines3's `DQN.train`; weight `nudged` of the first layer begins one unit in the last place higher."""

    def __init__(self, setting: Setting, nudged: int | None = None):
        kwargs = {"net_arch": list(setting.hidden), "norm": setting.norm}
        env = gym.make("CartPole-v1")
        self.model = DQN(
            DQNPolicy, env, RATE, gamma=GAMMA, max_grad_norm=setting.clip, policy_kwargs=kwargs, device="cpu"
        )
        self.model._setup_learn(1)
        self.model.policy.to(setting.dtype)
        self.parameters, start = list(self.model.q_net.parameters()), Population(setting.network, [0]).member(0)
        with torch.no_grad():
            for own, first in zip(self.parameters, start.parameters(), strict=True):
                own.copy_(first)
            if nudged is not None:
                weights = self.parameters[0].view(-1)
                weights[nudged] = torch.nextafter(weights[nudged], torch.tensor(torch.inf, dtype=setting.dtype))
        for network in (self.model.q_net, self.model.q_net_target):
            # What they make of any observation is float32, which batches are: nothing is lost.
            network.features_extractor.register_forward_hook(lambda _, __, features: features.to(setting.dtype))
        self.copy_target()

    @property
    def weights(self) -> Tensor:
        return torch.cat([each.detach().flatten() for each in self.parameters])

    def update(self, batch: Transitions) -> None:
        """One update through a replay buffer that holds this batch alone."""
        drawn = SimpleNamespace(
            observations=batch.s,
            next_observations=batch.s_next,
            actions=batch.a,
            rewards=batch.r,
            dones=batch.ended,
            discounts=None,
        )
        self.model.replay_buffer = cast("None", SimpleNamespace(sample=lambda *_, **__: drawn))
        self.model.train(1, len(batch.s))

    def copy_target(self) -> None:
        self.model.q_net_target.load_state_dict(self.model.q_net.state_dict())

    def clipped(self) -> bool:
        """Whether the last update's gradient was longer than the clip."""
        # Gradients are as they were left by the clip, whose 1e-6 keeps a clipped one just below the limit.
        length = torch.stack([each.grad.norm() for each in self.parameters if each.grad is not None]).norm()
        return bool(length > self.model.max_grad_norm * (1 - 1e-4))


class Ours:
    """Our `Agents.update`, one agent."""

    def __init__(self, setting: Setting):
        self.agents = Agents(
            setting.network,
            [0],
            [RATE],
            unpack=Replay(1, 1, (4,)).unpack,
            recipe=RECIPES["sb3"],
            loss="huber",
            clip=setting.clip,
        )
        self.dtype = setting.dtype
        if self.dtype != torch.float32:
            _compute_in(self.dtype, self.agents)

    @property
    def weights(self) -> Tensor:
        return self.agents.online.parameters.matrices[self.dtype][0].clone()

    def update(self, batch: Transitions) -> None:
        """One update on the batch, packed as our replay packs it."""
        discount = GAMMA * (1 - batch.ended)
        self.agents.update(torch.cat([batch.s, batch.s_next, batch.a, batch.r, discount], dim=1).unsqueeze(0))

    def copy_target(self) -> None:
        self.agents.update_target()


def _compute_in(dtype: torch.dtype, agents: Agents) -> None:
    """Agents of float32, as all are, go on in `dtype` from the same weights, Adam's state and rates included."""
    agents.online.parameters, agents.target_parameters = (
        _rows_in(dtype, rows) for rows in (agents.online.parameters, agents.target_parameters)
    )
    agents.optimizer = Adam(agents.online.parameters.matrices[dtype], [RATE])
    agents.optimizer.rates = torch.tensor([[RATE]], dtype=dtype)


def _rows_in(dtype: torch.dtype, rows: Rows) -> Rows:
    first = {name: view[0].to(dtype) for name, view in rows.views.items()}
    found = Rows(1, first)
    found.set_row(0, first)
    return found


@dataclass(frozen=True)
class Distance:
    """How far the weights are apart after some updates: the largest difference, and how far they have come together."""

    updates: int
    apart: float
    moved: float
    clipped: float  # fraction of the updates so far whose gradient was longer than the clip


def compare(setting: Setting, other: Side, *, updates: int = 1000, copy_lag: int = 0) -> Iterator[Distance]:
    """`Theirs(setting)` and `other` on the same batches; a Distance whenever targets are copied.

    Observations are large enough that the clip acts on many updates. `copy_lag`: the other's target comes that many
    updates late, to see that a difference is seen.
    """
    theirs, clipped = Theirs(setting), 0
    start = theirs.weights
    for update, batch in enumerate(_batches(setting, updates), 1):
        theirs.update(batch)
        other.update(batch)
        clipped += theirs.clipped()
        if update % COPY_EVERY == copy_lag:
            other.copy_target()
        if update % COPY_EVERY == 0:
            theirs.copy_target()
            apart, moved = (float((theirs.weights - weights).abs().max()) for weights in (other.weights, start))
            yield Distance(update, apart, moved, clipped / update)


def _batches(setting: Setting, count: int) -> Iterator[Transitions]:
    """The same for every setting of one size, from a generator of their own."""
    generator, size = torch.Generator().manual_seed(0), setting.batch
    for _ in range(count):
        s, s_next = (torch.randn(size, 8, generator=generator) * 50).split(4, dim=1)
        a = torch.randint(2, (size, 1), generator=generator)
        r = torch.randn(size, 1, generator=generator) * 50
        ended = torch.rand(size, 1, generator=generator) < 0.1
        s, s_next, r, ended = (x.to(setting.dtype) for x in (s, s_next, r, ended))
        yield Transitions(s, s_next, a, r, ended)


def parted_from_itself(setting: Setting, runs: int = 6, updates: int = 1000) -> list[Distance]:
    """stable-baselines3 against itself, one weight nudged: of as many runs, each with another weight, the farthest."""
    each = [list(compare(setting, Theirs(setting, nudged), updates=updates)) for nudged in range(runs)]
    return max(each, key=lambda distances: distances[-1].apart)
