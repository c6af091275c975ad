"""Is our DQN stable-baselines3's? Update by update to rounding, and over whole runs within the margin of all claims.

`exact` trains both on the same batches from the same weights. `CLAIM` compares whole runs: its "sb3" arms go through
stable-baselines3 itself, the others through our engine with the recipe `sb3`, which does as its loop does. Settings are
CleanRL's, with the Huber loss and the clip that stable-baselines3 has. With that loss agents hardly learn from them in
1e5 steps, where nothing could be told apart; so the settings of `sb3_table` are compared too, where they learn. The
number of seeds is fixed to `SEEDS`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from types import SimpleNamespace
from typing import cast

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DQN as TheirDQN

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.networks import mlp
from rlnorm.sb3 import DQNPolicy
from rlnorm.study import sb3_table
from rlnorm.study.claim import DQN, PRESETS, Arm, Claim, Effect
from rlnorm.study.judge import Question
from rlnorm.study.results import ClaimResult

SEEDS = 24
CLEANRL = {
    "hidden": (120, 84),
    "lr": 2.5e-4,
    "batch": 128,
    "buffer": 10_000,
    "starts": 10_000,
    "train_every": 10,
    "target_every": 500,
    "epsilon": (1.0, 0.05, 0.5),
    "loss": "huber",
    "clip": 10.0,
    "recipe": "sb3",
}
TEN = {**sb3_table.SETTINGS, "lr": 2.3e-3, "recipe": "sb3"}
ARMS = {"sb3": Arm(engine="sb3"), "ours": Arm(), "planted": Arm(train_every=50)}
CLAIM = Claim(
    statement="Agents of our DQN engine learn as stable-baselines3's do: under the same settings the normalized areas "
    "under their training-return curves are equivalent within 0.05.",
    source="stable-baselines3: Raffin et al. 2021, JMLR 22:268",
    notes=(),
    parts={
        f"{env}, {name}": Effect(
            DQN(env=env, steps=dict.fromkeys(PRESETS, steps), **settings),
            ARMS,
            "return_auc",
            Question("equivalent", treatment="ours", reference="sb3", margin=0.05, planted="planted"),
        )
        for name, steps, settings in (("CleanRL's settings", 100_000, CLEANRL), ("ten environments", 50_000, TEN))
        for env in ("CartPole-v1", "Acrobot-v1")
    },
)


@dataclass(frozen=True)
class Distance:
    """How far the weights are apart after some updates: the largest difference, and how far they have come together."""

    updates: int
    apart: float
    moved: float
    clipped: float  # share of the updates so far whose gradient was longer than the clip


def exact(
    norm: str,
    *,
    hidden: tuple[int, ...] = (64, 64),
    updates: int = 1000,
    batch: int = 64,
    clip: float = 10.0,
    copy_every: int = 100,
    our_clip: float | None = None,
    copy_lag: int = 0,
) -> Iterator[Distance]:
    """stable-baselines3's `DQN.train` and our `Agents.update` on the same batches from the same weights.

    Rounding alone can grow where an activation or a target lies on an edge: with LayerNorm at 64-64 and clip 10 the
    weights part at update 206 and are 4e-3 apart at 300. stable-baselines3 then parts from itself by 1e-2 within 400
    updates, in two of six runs whose one weight begins one unit in the last place off.

    Huber loss, Adam at 1e-3, gamma 0.99, targets copied every `copy_every` updates, after which a Distance is given.
    Batches are drawn from a generator of their own, observations large enough that the clip acts on many. `our_clip`
    gives our side another one and `copy_lag` a target that late: to see that a difference is seen.
    """
    env = gym.make("CartPole-v1")
    kwargs = {"net_arch": list(hidden), "norm": norm}
    theirs = TheirDQN(DQNPolicy, env, 1e-3, gamma=0.99, max_grad_norm=clip, policy_kwargs=kwargs, seed=0, device="cpu")
    theirs._setup_learn(1)
    agents = Agents(
        lambda: mlp(4, 2, hidden=hidden, norm=norm),
        [0],
        [1e-3],
        unpack=Replay(1, 1, (4,)).unpack,
        recipe=RECIPES["sb3"],
        loss="huber",
        clip=clip if our_clip is None else our_clip,
    )
    start = agents.online.flat.clone()
    weights = list(theirs.q_net.parameters())
    with torch.no_grad():
        for own, their in zip(agents.online.member(0).parameters(), weights, strict=True):
            their.copy_(own)
    theirs.q_net_target.load_state_dict(theirs.q_net.state_dict())
    generator, clipped = torch.Generator().manual_seed(0), 0
    for update in range(1, updates + 1):
        s = torch.randn(batch, 8, generator=generator) * 50
        a = torch.randint(2, (batch, 1), generator=generator)
        r = torch.randn(batch, 1, generator=generator) * 50
        dones = (torch.rand(batch, 1, generator=generator) < 0.1).float()
        agents.update(torch.cat([s, a, r, 0.99 * (1 - dones)], dim=1).unsqueeze(0))
        drawn = SimpleNamespace(
            observations=s[:, :4], next_observations=s[:, 4:], actions=a, rewards=r, dones=dones, discounts=None
        )
        theirs.replay_buffer = cast("None", SimpleNamespace(sample=lambda *_, drawn=drawn, **__: drawn))
        theirs.train(1, batch)
        # Gradients are as they were left by the clip, whose 1e-6 keeps a clipped one just below the limit.
        length = torch.stack([p.grad.norm() for p in weights if p.grad is not None]).norm()
        clipped += bool(length > clip * (1 - 1e-4))
        if update % copy_every == copy_lag:
            agents.update_target()
        if update % copy_every == 0:
            theirs.q_net_target.load_state_dict(theirs.q_net.state_dict())
            flat = torch.cat([p.detach().flatten() for p in weights])
            apart, moved = (float((agents.online.flat[0] - x).abs().max()) for x in (flat, start[0]))
            yield Distance(update, apart, moved, clipped / update)


EXACT = (("none", 10.0), ("layer", 10.0), ("layer", 1.0))
"""Norm and clip of what is compared exactly; LayerNorm's gradients seldom reach a clip of 10."""
SHOWN = (100, 500, 1000)
"""Updates after which the page shows how far the weights are apart."""


def page(exactly: Mapping[tuple[str, float], Sequence[Distance]], result: ClaimResult, commit: str | None) -> str:
    """A Markdown page of both comparisons: how far weights part, the verdicts, and every run's scores."""
    lines = [
        "# Is our DQN stable-baselines3's?",
        "",
        f"Command: `python scripts/fidelity.py`, commit {commit}.",
        "",
        "## Update by update",
        "",
        fill(
            "The same weights, then the same batches through stable-baselines3's `DQN.train` and through our "
            "`Agents.update`: 64-64, batch 64, Huber loss, clip, Adam at 1e-3, targets copied every 100 updates. "
            "Shown is the largest difference of a weight after that many updates, and the largest way that a "
            "weight has come (moved).",
            120,
        ),
        "",
        "| norm | clip | updates clipped | " + " | ".join(f"after {updates}" for updates in SHOWN) + " | moved |",
        "|---" * (len(SHOWN) + 4) + "|",
    ]
    for (norm, clip), distances in exactly.items():
        apart = [f"{each.apart:.1e}" for each in distances if each.updates in SHOWN]
        last = distances[-1]
        lines.append(f"| {norm} | {clip:g} | {last.clipped:.0%} | {' | '.join(apart)} | {last.moved:.2f} |")
    lines += [
        "",
        "## Whole runs",
        "",
        fill(
            f"{CLAIM.statement} {SEEDS} seeds an arm, fixed beforehand, none rerun. For an equivalence to count, the "
            "planted arm, which updates a fifth as often, has to be told apart, and the reference has to stand between "
            "0.25 and 0.9 of what is reachable.",
            120,
        ),
        "",
        "| part | verdict | ours - sb3 | 90 % interval | why |",
        "|---|---|---|---|---|",
    ]
    each = [
        "",
        "Mean and standard deviation over seeds:",
        "",
        "| part | arm | AUC | greedy return | diverged | AUC / greedy return of every seed |",
        "|---|---|---|---|---|---|",
    ]
    for part in result.parts:
        found = part.verdict
        lines.append(
            f"| {part.name} | {found.verdict} | {found.estimate:+.3f} | {found.low:+.3f} to {found.high:+.3f} "
            f"| {found.reason} |"
        )
        for arm in part.arms.values():
            final = np.zeros(0) if arm.final is None else arm.final
            per_seed = " ".join(f"{score:.3f}/{greedy:.0f}" for score, greedy in zip(arm.scores, final, strict=True))
            area, greedy = (f"{x.mean():.{n}f} ± {x.std(ddof=1):.{n}f}" for x, n in ((arm.scores, 3), (final, 0)))
            row = part.name, arm.name, area, greedy, int(arm.diverged.sum()), per_seed
            each.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join([*lines, *each]) + "\n"
