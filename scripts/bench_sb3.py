"""Cost of our layers and our callback in `learn` of stable-baselines3, beside the same without them, in turn.

python scripts/bench_sb3.py --only 'layer|none' --rows rows.json

All cases take about five minutes; `--rows` keeps the rows of cases that are measured in pieces.
`--only '^$' --rows rows.json --table PAGE` writes the page without measuring anything.

A row is that of `bench_layers.py`: the medians of ours and of the other in milliseconds per environment step, and the
median of their ratio with its 95 % interval. Below 1 ours is faster.

DQN learns CartPole-v1 with batch 128 and one update per step, so that the networks take most of the time. NormCallback
is measured at its default rate with algorithms of discrete actions at stable-baselines3's default settings.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import tyro
from bench_layers import Pieces, Row, row, spread
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from rlnorm import nn
from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any
from rlnorm.files import write_atomically
from rlnorm.sb3 import ActorCriticPolicy, DQNPolicy, NormCallback
from rlnorm.sb3.dqn import QNetwork
from rlnorm.validation.options import read, typed

SWAPS = {"layer": "torch.layer", "batch": "torch.batch", "rms": "torch.rms"}
ENV = "CartPole-v1"
ROUNDS, WARM_UP = 11, 400
WATCHED: dict[str, tuple[Any, Any, int]] = {
    "DQN": (DQN, DQNPolicy, 4_000),
    "PPO": (PPO, ActorCriticPolicy, 4_096),
    "A2C": (A2C, ActorCriticPolicy, 4_000),
}
"""Algorithm, policy, and steps of one round: a multiple of the steps between probes."""
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
    """A case to measure.

    name     its name in the table
    beside   the name of the other
    steps    environment steps of a round
    pair     makes ours and the other, each a function that learns for a number of steps
    """

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
    """Learn for some more steps. The seed is set anew, so that no other model's learning changes the random numbers."""
    model.set_random_seed(model.num_timesteps)
    return model.learn(steps, callback=callback, reset_num_timesteps=False)


def watched(name: str) -> tuple[Learn, Learn]:
    """One model with a callback and one without. Both learn the same and write TensorBoard's files."""
    algorithm, policy, _ = WATCHED[name]

    def learn(callback: type[NormCallback] | None) -> Learn:
        log = tempfile.TemporaryDirectory(prefix="bench-sb3-")
        model = algorithm(policy, ENV, policy_kwargs={"norm": "batch"}, tensorboard_log=log.name, seed=0, device="cpu")
        model.log_folder = log  # removed with the model
        return lambda steps: go_on(model, steps, callback and callback())

    return learn(NormCallback), learn(None)


def cases() -> Iterator[Case]:
    """Every case of the benchmark."""
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
    """The row of a case. The one that goes first alternates."""
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


def main(pieces: Annotated[Pieces, tyro.conf.arg(name="")]) -> None:
    """Measure, print, and write the rows and the page where asked for."""
    raise_if_any(pieces.errors())
    torch.set_num_threads(1)
    rows, names = pieces.earlier(), [case.name for case in cases()]
    for case in cases():
        if re.search(pieces.only, case.name):
            found = measure(case)
            print(f"{case.name:<20}{found.ours:>9.3f} ms{found.peer:>9.3f} ms   {spread(found)}", flush=True)
            pieces.add(found, rows)
    if pieces.table:
        write_atomically(pieces.table, page(sorted(rows.values(), key=lambda each: names.index(each.case))))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
