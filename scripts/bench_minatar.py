"""Speed of the DQN engine on images beside stable-baselines3's DQN with the same network, in one run.

python scripts/bench_minatar.py --steps 6000 --rounds 3 --json rows.json

Needs `pip install 'rlnorm[minatar]'`. MinAtar/Breakout-v1, one convolution of 16 channels and 128 units, batch 32, one
update per 4 environment steps. Each side has two processes with one torch thread each: ours with 8 agents a process,
stable-baselines3's with one. Environment steps/s are summed over agents and processes and leave out start-up,
compilation and evaluation. Rounds of the two sides alternate; medians are shown.

The rows below them say where our time goes: milliseconds per update of 8 agents (4 environment steps each), every piece
timed alone in one process.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_dqn import ROUNDS, Row, beside, check, engine_speed, keep, learn_speed, timed, together
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ENV, AGENTS, LR = "MinAtar/Breakout-v1", 8, 2.5e-4
SHARED: dict[str, Any] = {"batch": 32, "buffer": 100_000, "starts": 500, "target_every": 1_000, "discount": 0.99}
OURS: dict[str, Any] = {
    "loss": "huber",
    "clip": 10.0,
    "train_every": 4,
    "epsilon": (1.0, 0.1, 0.1),
    "channels": (16,),
    "hidden": (128,),
}


def training(norm: str, steps: int, seeds: Sequence[int] = range(AGENTS)) -> dict[str, Any]:
    """The arguments of `rlnorm.dqn.train`."""
    agents = {"seeds": seeds, "rates": [LR] * len(seeds), "norm": norm, "compile": True}
    return {"env": ENV, "steps": steps, **agents, **SHARED, **OURS}


def ours(norm: str, steps: int, seed: int) -> float:
    """Environment steps/s of one process with `AGENTS` agents."""
    return engine_speed(training(norm, steps, range(seed, seed + AGENTS)))


def stable_baselines3(_: str, steps: int, seed: int) -> float:
    """Environment steps/s of one process with one agent, under the same settings."""
    import gymnasium as gym
    from stable_baselines3 import DQN
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Convolution(BaseFeaturesExtractor):
        """Float images (B, height, width, channels) -> hidden units (B, 128)."""

        def __init__(self, observation_space: gym.spaces.Box):
            super().__init__(observation_space, 128)
            channels = observation_space.shape[2]
            self.layers = nn.Sequential(
                nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU()
            )

        def forward(self, observations: Tensor) -> Tensor:
            return self.layers(observations.permute(0, 3, 1, 2))

    torch.set_num_threads(1)
    import_module("minatar.gym").register_envs()
    model = DQN(
        "MlpPolicy",
        gym.make(ENV),
        learning_rate=LR,
        batch_size=SHARED["batch"],
        buffer_size=SHARED["buffer"],
        learning_starts=SHARED["starts"],
        gamma=SHARED["discount"],
        target_update_interval=SHARED["target_every"],
        train_freq=4,
        gradient_steps=1,
        exploration_fraction=0.1,
        exploration_final_eps=0.1,
        policy_kwargs={"net_arch": [], "features_extractor_class": Convolution},
        device="cpu",
        seed=seed,
    )
    return learn_speed(model, steps)


def where_time_goes(norm: str) -> dict[str, float]:
    """Milliseconds per update of every piece of our loop."""
    from rlnorm.dqn.agents import Agents
    from rlnorm.dqn.images import ImageReplay
    from rlnorm.dqn.recipes import RECIPES
    from rlnorm.networks import network
    from rlnorm.tasks.environments import make, spaces

    torch.set_num_threads(1)
    (shape, actions), environments, rng = spaces(ENV), make(ENV, AGENTS), np.random.default_rng(0)
    first = environments.reset(0)[:, None]
    replay = ImageReplay(AGENTS, 2_000, shape, first.dtype, 1)

    def play() -> tuple[np.ndarray, ...]:
        """One transition of every agent under random actions."""
        nonlocal first
        before, action = first, rng.integers(actions, size=(AGENTS, 1))
        first, successor, reward, terminated, _ = (x[:, None] for x in environments.step(action.ravel()))
        return before, successor, action, reward, SHARED["discount"] * ~terminated

    for _ in range(1_000):
        replay.add(*play())
    rest = play()[2:]
    added, action = (first, first, *rest), np.zeros(AGENTS, dtype=int)
    agents = Agents(
        lambda: network(shape, actions, channels=OURS["channels"], hidden=OURS["hidden"], norm=norm),
        range(AGENTS),
        [LR] * AGENTS,
        unpack=replay.unpack,
        recipe=RECIPES["supervised"],
        loss=OURS["loss"],
        clip=OURS["clip"],
        compile=True,
    )
    generator = torch.Generator().manual_seed(0)
    rows = replay.sample(SHARED["batch"], generator)
    return {
        "environment": 4 * timed(lambda: environments.step(action)),
        "acting": 4 * timed(lambda: agents.act(torch.from_numpy(first)).numpy()),
        "replay": 4 * timed(lambda: replay.add(*added)) + timed(lambda: replay.sample(SHARED["batch"], generator)),
        "update": timed(lambda: agents.update(rows)),
    }


def main(
    steps: int = 6_000, rounds: int = ROUNDS, norms: tuple[str, ...] = ("none",), json: Path | None = None
) -> None:
    """Measure, print, and write the rows where asked for.

    Args:
        steps: Environment steps per agent.
        rounds: Rounds of both sides.
        norms: Short names of norms.
        json: Write the rows {case, ours, peer, ratio, rounds} to this file.
    """
    check([training(norm, steps) for norm in norms], rounds, json)
    measured: dict[str, list[float]] = {name: [] for name in ("sb3", *norms)}
    for _ in range(rounds):
        for name, values in measured.items():
            values.append(together(stable_baselines3 if name == "sb3" else ours, name, steps))
    rows: list[Row] = [beside(f"steps/s, {ENV}, {norm}", measured[norm], measured["sb3"]) for norm in norms]
    for norm in norms:
        pieces = where_time_goes(norm)
        for name, value in {**pieces, "sum": sum(pieces.values())}.items():
            rows.append({"case": f"ms per update, {norm}: {name}", "ours": round(value, 3)})
    keep(rows, json)
    table = Table("case", "ours", "peer", "ratio", "rounds")
    for row in rows:
        table.add_row(*(str(row.get(key, "")) for key in ("case", "ours", "peer", "ratio", "rounds")))
    Console().print(table)


if __name__ == "__main__":
    # Here, so that the measured processes, which import this file, do not load them.
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
