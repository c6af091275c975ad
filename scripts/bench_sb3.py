"""What our layers and our callback cost in `learn` of stable-baselines3: beside the same without, in turn.

    python scripts/bench_sb3.py                                       # everything, about five minutes
    python scripts/bench_sb3.py --only 'layer|none' --rows rows.json
    python scripts/bench_sb3.py --rows rows.json --only '^$' --table docs/results/sb3_overhead.md

`--only`, `--rows` and `--table` are those of `bench_layers.py`, and so is a row: medians of ours and of the other in
milliseconds per environment step, and the median of their ratio with its 95 % interval. Below 1: ours is faster.

DQN on CartPole-v1, batch 128, one update per step, so that networks weigh as much as they can. NormCallback at its
default rate, where a step costs little: algorithms of discrete actions with stable-baselines3's own settings.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from bench_layers import Row, row, spread
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from rlnorm import nn
from rlnorm.sb3 import ActorCriticPolicy, DQNPolicy, NormCallback
from rlnorm.sb3.dqn import QNetwork

SWAPS = {"layer": "torch.layer", "batch": "torch.batch", "rms": "torch.rms"}
ENV = "CartPole-v1"
ROUNDS, WARM_UP = 11, 400
WATCHED: dict[str, tuple[Any, Any, int]] = {
    "DQN": (DQN, DQNPolicy, 4_000),
    "PPO": (PPO, ActorCriticPolicy, 4_096),
    "A2C": (A2C, ActorCriticPolicy, 4_000),
}
"""Algorithm, policy, and steps of one round, a multiple of those between probes."""
Learn = Callable[[int], object]


class TorchsDQNPolicy(DQNPolicy):
    """The same policy with torch.nn's layers in place of ours."""

    def make_q_net(self) -> QNetwork:
        """As ours, converted."""
        network = nn.convert(super().make_q_net(), SWAPS)
        assert isinstance(network, QNetwork)
        return network


@dataclass(frozen=True)
class Case:
    """What is measured: its name, what it is held against, steps of a round, and the two that learn so many steps."""

    name: str
    beside: str
    steps: int
    pair: Callable[[], tuple[Learn, Learn]]


def learner(policy: type[DQNPolicy] | str, width: int, **given: str) -> Learn:
    """A DQN that learns from its first steps on."""
    model = DQN(
        policy,
        ENV,
        batch_size=128,
        learning_starts=130,
        buffer_size=10_000,
        train_freq=1,
        target_update_interval=500,
        policy_kwargs={"net_arch": [width, width], **given},
        seed=0,
        device="cpu",
    )
    return lambda steps: go_on(model, steps)


def go_on(model: BaseAlgorithm, steps: int, callback: NormCallback | None = None) -> object:
    """Some more steps of learning, whose random numbers no other's learning changes."""
    model.set_random_seed(model.num_timesteps)
    return model.learn(steps, callback=callback, reset_num_timesteps=False)


def watched(name: str) -> tuple[Learn, Learn]:
    """One model with a callback and one without, which learn the same and write TensorBoard's files."""
    algorithm, policy, _ = WATCHED[name]

    def learn(callback: type[NormCallback] | None) -> Learn:
        log = tempfile.TemporaryDirectory(prefix="bench-sb3-")
        model = algorithm(policy, ENV, policy_kwargs={"norm": "batch"}, tensorboard_log=log.name, seed=0, device="cpu")
        model.log_folder = log  # removed with the model
        return lambda steps: go_on(model, steps, callback and callback())

    return learn(NormCallback), learn(None)


def cases() -> Iterator[Case]:
    """Everything that is measured."""
    for width in (64, 256):
        sized = f"{width}-{width}"
        for norm in SWAPS:
            yield Case(
                f"{norm} {sized}",
                "torch.nn's layers",
                600,
                lambda width=width, norm=norm: (
                    learner(DQNPolicy, width, norm=norm),
                    learner(TorchsDQNPolicy, width, norm=norm),
                ),
            )
        yield Case(
            f"none {sized}",
            "stable-baselines3's policy",
            600,
            lambda width=width: (learner(DQNPolicy, width), learner("MlpPolicy", width)),
        )
    for name, (*_, steps) in WATCHED.items():
        yield Case(f"NormCallback {name}", "no callback", steps, lambda name=name: watched(name))


def measure(case: Case) -> Row:
    """One row; which of the two goes first alternates."""
    pair, seen = case.pair(), list[tuple[float, float]]()
    for learn in pair:
        learn(min(WARM_UP, case.steps))
    for number in range(ROUNDS):
        times = {}
        for learn in pair if number % 2 else pair[::-1]:
            start = time.perf_counter()
            learn(case.steps)
            times[learn] = (time.perf_counter() - start) / case.steps * 1e3
        seen.append((times[pair[0]], times[pair[1]]))
    return row(case.name, seen)


def page(rows: list[Row]) -> str:
    """The rows as Markdown."""
    beside = {case.name: case.beside for case in cases()}
    lines = [
        "# What norms and the callback cost in stable-baselines3",
        "",
        "Made by `python scripts/bench_sb3.py --rows rows.json --table docs/results/sb3_overhead.md`: `learn` in",
        "milliseconds per environment step, ours and the other in turn in one process on one thread, nothing else at",
        "work. Ratios are medians with their 95 % interval; below 1 ours is faster. DQN on CartPole-v1, batch 128, one",
        "update per step; NormCallback at its default rate, algorithms at their default settings.",
        f"CPU, torch {torch.__version__.partition('+')[0]}.",
        "",
        "| case | beside | ours | the other | ratio |",
        "|---|---|---|---|---|",
    ]
    for each in rows:
        lines.append(f"| {each.case} | {beside[each.case]} | {each.ours:.3f} | {each.peer:.3f} | {spread(each)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a regular expression: the cases in whose name it is found")
    parser.add_argument("--rows", type=Path, help="add the rows to this file (JSON)")
    parser.add_argument("--table", type=Path, help="write the rows as a page to this file (Markdown)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = json.loads(args.rows.read_text()) if args.rows and args.rows.exists() else []
    rows = {each["case"]: Row(**each) for each in known}
    for case in cases():
        if re.search(args.only, case.name):
            rows[case.name] = found = measure(case)
            print(f"{case.name:<20}{found.ours:>9.3f} ms{found.peer:>9.3f} ms   {spread(found)}", flush=True)
            if args.rows:
                args.rows.write_text(json.dumps([asdict(each) for each in rows.values()], indent=1) + "\n")
    if args.table:
        names = [case.name for case in cases()]
        args.table.write_text(page(sorted(rows.values(), key=lambda each: names.index(each.case))))


if __name__ == "__main__":
    main()
