"""What a norm costs in DQN: the time of an update, and of the whole loop per environment step."""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from rlnorm import compiling
from rlnorm.dqn import train
from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.networks import network
from rlnorm.study.claim import PRESETS, Claim, Cost, Part, Question, Work
from rlnorm.study.claim.dqn_setting import DQN_STUDY

NORMS = ("layer", "batch", "batch_renorm", "rms")
AGENTS, MARGIN, BATCH = 16, 1.25, 128
# Timing units run one at a time, and these compile first: quick has a minute.
AT_QUICK = (("update", "layer"), ("update", "batch"))
STEPS = 50_000  # the loop is timed in hundredths of this budget: 500 steps of each agent, 50 updates
BEFORE = 25  # hundredths until learning has started and epsilon has come down


def update(norm: str) -> Work:
    """One compiled update of 16 agents on random transitions of CartPole's shape."""
    replay = Replay(AGENTS, BATCH, (4,))
    rows = torch.randn(AGENTS, BATCH, replay.rows.shape[-1], generator=torch.Generator().manual_seed(0))
    rows[..., -3] = (rows[..., -3] > 0).float()
    agents = Agents(
        lambda: network((4,), 2, hidden=(64, 64), norm=norm),
        range(AGENTS),
        [1e-3] * AGENTS,
        unpack=replay.unpack,
        recipe=RECIPES["supervised"],
        loss="squared",
        compile=compiling.available(),
    )

    def step() -> None:
        agents.update(rows)

    return step


def loop(norm: str) -> Work:
    """The next hundredth of a training of 16 agents on CartPole-v1: acting, environment, replay, updates."""
    settings = {name: value for name, value in DQN_STUDY.items() if name != "lr"}
    rates = [1e-3] * AGENTS
    records = train(
        env="CartPole-v1",
        seeds=range(AGENTS),
        rates=rates,
        steps=STEPS,
        norm=norm,
        compile=compiling.available(),
        **settings,  # pyright: ignore[reportArgumentType]
    )
    for _ in range(BEFORE):
        next(records)
    return lambda: next(records)


def cost(group: str, measured: str, work: Callable[[str], Work], norm: str, repeatable: bool) -> Cost:
    """Is it slower with the norm, by the margin?"""
    arms: Mapping[str, Callable[[], Work]] = {name: partial(work, name) for name in ("none", norm)}
    question = Question(asks="superior", treatment="none", reference=norm, margin=MARGIN, scale="ratio")
    return Cost(
        group=group,
        statement=f"{measured} with {norm} takes at least {MARGIN} times as long as without",
        arms=arms,
        question=question,
        repeatable=repeatable,
        presets=PRESETS if (group, norm) in AT_QUICK else ("smoke", "full"),
    )


PARTS: dict[str, Part] = {
    f"{what}, {norm}": cost(what, measured, work, norm, repeatable)
    for what, measured, work, repeatable in (
        ("update", "an update", update, True),
        ("loop", "an environment step of the whole loop", loop, False),
    )
    for norm in NORMS
}

CLAIM = Claim(
    title="Norms cost time in DQN",
    statement="Norms cost time in DQN: with one before every hidden activation, an update of 16 agents (64-64, batches "
    "of 128, compiled), and the whole loop per environment step under the study setting on CartPole-v1, take at least "
    "a quarter longer than without. What the time buys is judged in dqn-ln, dqn-bn and dqn-league.",
    source="note N0 on the cost of BN",
    notes=(),
    kind="cost",
    parts=PARTS,
)
