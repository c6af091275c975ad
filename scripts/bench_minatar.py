"""Speed of the DQN engine on images beside stable-baselines3's DQN with the same network, in one run.

    python scripts/bench_minatar.py [--steps 6000] [--rounds 3] [--json PATH]

MinAtar/Breakout-v1 (`pip install rlnorm[minatar]`), one convolution of 16 channels and 128 units, batch 32, one update
per 4 environment steps, two processes with one torch thread each for either side: ours with 8 agents a process,
stable-baselines3 with one. Environment steps/s are summed over agents and processes and leave out start-up, compilation
and evaluation. Rounds of ours and theirs alternate; medians are shown. Below stands where our time goes, milliseconds
per update of 8 agents (4 environment steps each), every piece timed alone in one process.
"""

import argparse
import json
import statistics
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_dqn import timed, together
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ENV, AGENTS, LR = "MinAtar/Breakout-v1", 8, 2.5e-4
SHARED: dict[str, Any] = {"batch": 32, "buffer": 100_000, "starts": 500, "target_every": 1_000, "discount": 0.99}


def ours(norm: str, steps: int, seed: int) -> float:
    """Environment steps/s of one process; timed from a fifth of the budget to the last record but one."""
    from rlnorm.dqn import train

    torch.set_num_threads(1)
    times: list[tuple[int, float]] = []
    settings: dict[str, Any] = {**SHARED, "loss": "huber", "clip": 10.0, "train_every": 4, "epsilon": (1.0, 0.1, 0.1)}
    settings |= {"channels": (16,), "hidden": (128,), "norm": norm, "compile": True}
    for record in train(env=ENV, seeds=range(seed, seed + AGENTS), rates=[LR] * AGENTS, steps=steps, **settings):
        times.append((record["step"], time.perf_counter()))
    (first, begin), (last, end) = times[len(times) // 5], times[-2]
    return AGENTS * (last - first) / (end - begin)


def stable_baselines3(_: str, steps: int, seed: int) -> float:
    """Environment steps/s of one process with one agent, under the same settings."""
    import gymnasium as gym
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Convolution(BaseFeaturesExtractor):
        """Images (B, height, width, channels), which the policy has made floats, to the hidden units."""

        def __init__(self, observation_space: gym.spaces.Box):
            super().__init__(observation_space, 128)
            channels = observation_space.shape[2]
            self.layers = nn.Sequential(
                nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU()
            )

        def forward(self, observations: Tensor) -> Tensor:
            return self.layers(observations.permute(0, 3, 1, 2))

    class Clock(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[tuple[int, float]] = []

        def _on_step(self) -> bool:
            self.times.append((self.num_timesteps, time.perf_counter()))
            return True

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
    clock = Clock()
    model.learn(steps, callback=clock)
    (first, begin), (last, end) = clock.times[len(clock.times) // 5], clock.times[-1]
    return (last - first) / (end - begin)


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
        """One transition of every agent, at random."""
        nonlocal first
        before, action = first, rng.integers(actions, size=(AGENTS, 1))
        first, successor, reward, terminated, _ = (x[:, None] for x in environments.step(action.ravel()))
        return before, successor, action, reward, SHARED["discount"] * ~terminated

    for _ in range(1_000):
        replay.add(*play())
    rest = play()[2:]
    added, action = (first, first, *rest), np.zeros(AGENTS, dtype=int)
    agents = Agents(
        lambda: network(shape, actions, channels=(16,), hidden=(128,), norm=norm),
        range(AGENTS),
        [LR] * AGENTS,
        unpack=replay.unpack,
        recipe=RECIPES["supervised"],
        loss="huber",
        clip=10.0,
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


def main() -> None:
    """Measure, print, and write the rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows {case, ours, peer, ratio} here")
    parser.add_argument("--steps", type=int, default=6_000, help="environment steps per agent")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--norms", nargs="+", default=["none"])
    options = parser.parse_args()
    measured: dict[str, list[float]] = {name: [] for name in ("sb3", *options.norms)}
    for _ in range(options.rounds):
        for name, values in measured.items():
            values.append(together(stable_baselines3 if name == "sb3" else ours, name, options.steps))
    table, rows, peer = Table("case", "ours", "peer", "ratio", "all rounds"), [], statistics.median(measured["sb3"])
    for norm in options.norms:
        mine = statistics.median(measured[norm])
        row = {
            "case": f"steps/s, {ENV}, {norm}",
            "ours": round(mine),
            "peer": round(peer),
            "ratio": round(mine / peer, 2),
        }
        rows.append({**row, "rounds": {"ours": measured[norm], "peer": measured["sb3"]}})
        table.add_row(
            *map(str, row.values()), f"{[round(x) for x in measured[norm]]} {[round(x) for x in measured['sb3']]}"
        )
    for norm in options.norms:
        pieces = where_time_goes(norm)
        for name, value in {**pieces, "sum": sum(pieces.values())}.items():
            rows.append({"case": f"ms per update, {norm}: {name}", "ours": round(value, 3)})
            table.add_row(rows[-1]["case"], str(rows[-1]["ours"]))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
