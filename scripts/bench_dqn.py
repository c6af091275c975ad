"""Speed of the DQN engine beside stable-baselines3's DQN, in one run, and where its time goes.

python scripts/bench_dqn.py --parts one ten --json rows.json

CartPole-v1 unless said, 64-64, batch 128, one update per 10 environment steps. Each side has two processes with one
torch thread each: ours with 16 agents a process, stable-baselines3's with one. Environment steps/s are summed over
agents and processes and leave out start-up, compilation and evaluation. Rounds of the two sides alternate; medians are
shown.

Parts: throughput with `one` and with `ten` environments per agent, `acrobot` and `lunarlander` with ten (by gymnasium
and, where it is installed, by EnvPool; and what their steps alone take), `pieces` of an update, `memory`. The first run
on a machine compiles; later each part takes three minutes, `lunarlander` ten.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from json import dumps
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rlnorm.errors import raise_if_any, too_few, unwritable_file
from rlnorm.files import write_atomically

if TYPE_CHECKING:
    from stable_baselines3 import DQN

Part = Literal["one", "ten", "acrobot", "lunarlander", "pieces", "memory"]
Row = Mapping[str, object]
PARTS: tuple[Part, ...] = get_args(Part)
PROCESSES, AGENTS, ROUNDS = 2, 16, 3
CARTPOLE, ACROBOT, LUNARLANDER = "CartPole-v1", "Acrobot-v1", "LunarLander-v3"
NORMS = ("none", "layer", "batch")
# The only loss and clip of stable-baselines3's DQN.
OURS: dict[str, Any] = {"loss": "huber", "clip": 10.0, "train_every": 10, "hidden": (64, 64)}
SHARED: dict[str, Any] = {"batch": 128, "buffer": 10_000, "starts": 1_000, "target_every": 500, "discount": 0.99}
LR = 2.5e-4


def training(
    norm: str,
    envs: int,
    steps: int,
    seeds: Sequence[int] = range(AGENTS),
    env: str = CARTPOLE,
    environments: str = "gymnasium",
) -> dict[str, Any]:
    """The arguments of `rlnorm.dqn.train`."""
    agents = {"seeds": seeds, "rates": [LR] * len(seeds), "norm": norm, "compile": True}
    return {"env": env, "environments": environments, "envs": envs, "steps": steps, **agents, **SHARED, **OURS}


def libraries(env: str) -> tuple[str, ...]:
    """Who can step an environment here."""
    installed = env != CARTPOLE and importlib.util.find_spec("envpool") is not None
    return ("gymnasium", "envpool") if installed else ("gymnasium",)


def engine_speed(arguments: Mapping[str, Any]) -> float:
    """Environment steps/s of `rlnorm.dqn.train`, from a fifth of the budget on.

    The run ends before its last record, which comes with the evaluation.
    """
    from rlnorm.dqn import train
    from rlnorm.population import RECORDS

    torch.set_num_threads(1)
    times = [(record["step"], time.perf_counter()) for record in islice(train(**arguments), RECORDS - 1)]
    (first, begin), (last, end) = times[len(times) // 5], times[-1]
    return len(arguments["seeds"]) * (last - first) / (end - begin)


def learn_speed(model: "DQN", steps: int) -> float:
    """Environment steps/s of `learn` of stable-baselines3, from a fifth of the budget to its end."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Clock(BaseCallback):
        def _init_callback(self) -> None:
            self.times: list[tuple[int, float]] = []

        def _on_step(self) -> bool:
            self.times.append((self.num_timesteps, time.perf_counter()))
            return True

    clock = Clock()
    model.learn(steps, callback=clock)
    (first, begin), (last, end) = clock.times[len(clock.times) // 5], clock.times[-1]
    return (last - first) / (end - begin)


def ours(env: str, environments: str, norm: str, envs: int, steps: int, seed: int) -> float:
    """Environment steps/s of one process with `AGENTS` agents."""
    return engine_speed(training(norm, envs, steps, range(seed, seed + AGENTS), env, environments))


def stable_baselines3(env: str, envs: int, steps: int, seed: int) -> float:
    """Environment steps/s of one process with one agent, under the same settings."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    model = DQN(
        "MlpPolicy",
        # With stable-baselines3's default LunarLander draws its exhaust, too.
        make_vec_env(env, n_envs=envs, seed=seed, env_kwargs={"render_mode": None}),
        learning_rate=LR,
        batch_size=SHARED["batch"],
        buffer_size=SHARED["buffer"],
        learning_starts=SHARED["starts"],
        gamma=SHARED["discount"],
        target_update_interval=SHARED["target_every"],
        train_freq=10 // envs,
        gradient_steps=1,
        exploration_fraction=0.5,
        policy_kwargs={"net_arch": [64, 64]},
        device="cpu",
        seed=seed,
    )
    return learn_speed(model, steps)


def together(function: Callable[..., float], *arguments: object) -> float:
    """The sum of `function` over processes that run at the same time."""
    with get_context("spawn").Pool(PROCESSES) as pool:
        calls = [(*arguments, 1000 * i) for i in range(PROCESSES)]
        return sum(pool.starmap(function, calls))


def beside(case: str, ours: Sequence[float], peer: Sequence[float]) -> Row:
    """A row of two medians, their ratio, and the rounds that they are of."""
    mine, its = statistics.median(ours), statistics.median(peer)
    rounds = {"ours": [*map(round, ours)], "peer": [*map(round, peer)]}
    return {"case": case, "ours": round(mine), "peer": round(its), "ratio": round(mine / its, 2), "rounds": rounds}


def throughput(envs: int, steps: int, rounds: int, env: str = CARTPOLE) -> list[Row]:
    """A row for every norm and library that steps `env`. stable-baselines3 makes half the steps, by gymnasium."""
    sides, theirs = [(library, norm) for library in libraries(env) for norm in NORMS], list[float]()
    measured = {side: list[float]() for side in sides}
    for _ in range(rounds):
        theirs.append(together(stable_baselines3, env, envs, steps // 2))
        for side, values in measured.items():
            values.append(together(ours, env, *side, envs, steps))
    return [
        beside(f"steps/s, {task(env, library)}{envs} envs per agent, {norm}", values, theirs)
        for (library, norm), values in measured.items()
    ]


def task(env: str, library: str) -> str:
    """The words for an environment and who steps it; none for CartPole."""
    return "" if env == CARTPOLE else f"{env} by {library}, "


def stepping(env: str, library: str) -> float:
    """Milliseconds that the environments of `AGENTS` agents, ten each, take for the steps of one update."""
    from rlnorm.tasks.environments import make, spaces

    torch.set_num_threads(1)
    environments, rng, actions = make(env, 10 * AGENTS, library), np.random.default_rng(0), spaces(env)[1]
    environments.reset(0)
    return timed(lambda: environments.step(rng.integers(actions, size=10 * AGENTS)))


def another(env: str, steps: int, rounds: int) -> list[Row]:
    """Throughput on another environment than CartPole, and what its steps alone take."""
    rows = throughput(10, steps, rounds, env)
    with get_context("spawn").Pool(1) as pool:
        alone = {library: pool.apply(stepping, (env, library)) for library in libraries(env)}
    return [
        *rows,
        *(
            {"case": f"ms per update, {task(env, library)}environment alone", "ours": round(value, 2)}
            for library, value in alone.items()
        ),
    ]


def timed(function: Callable[[], object], seconds: float = 0.5) -> float:
    """Median milliseconds of a call."""
    for _ in range(5):
        function()
    times, stop = [], time.perf_counter() + seconds
    while time.perf_counter() < stop or len(times) < 20:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def memory() -> Row:
    """Peak resident memory that training adds to a process: 32 agents with 10^4-step buffers."""
    with get_context("spawn").Pool(1) as pool:
        mib = pool.apply(_memory)
    return {"case": "MiB per agent (of 32 in a process, with buffers of 10^4 steps, eager)", "ours": round(mib / 32, 2)}


def _memory() -> float:
    from rlnorm.dqn import train

    before = status("VmHWM")
    for _ in train(**{**training("batch", 10, 12_000, range(32)), "compile": False}):
        pass
    return (status("VmHWM") - before) / 1024


def status(key: str) -> int:
    """KiB that the kernel counts for this process: VmRSS is its resident set, VmHWM the peak of it (Linux).

    `resource.getrusage` does not serve here: the peak of a spawned process starts at that of its parent.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def keep(rows: Sequence[Row], file: Path | None) -> None:
    """Write the rows as JSON where asked for."""
    if file:
        write_atomically(file, dumps(rows, indent=1) + "\n")


def check(trainings: Iterable[Mapping[str, Any]], rounds: int, json: Path | None) -> None:
    """Raise ConfigError for everything that is wrong with the options of a benchmark, given what it will train."""
    from rlnorm.dqn import Settings

    wrong = [*too_few({"--rounds": rounds}), *(unwritable_file("the rows", "--json", json) if json else ())]
    raise_if_any(dict.fromkeys([*chain.from_iterable(map(Settings.errors_in, trainings)), *wrong]))


def main(parts: tuple[Part, ...] = PARTS, steps: int = 10_000, rounds: int = ROUNDS, json: Path | None = None) -> None:
    """Measure, print, and write the rows where asked for.

    Args:
        parts: Parts to measure.
        steps: Environment steps per agent of ours, and half of those of stable-baselines3's; twice as many with ten
            environments.
        rounds: Rounds of both sides.
        json: Write the rows {case, ours, peer, ratio, rounds} to this file after each part.
    """
    from bench_dqn_pieces import all_pieces

    check([training(norm, 1, steps) for norm in NORMS], rounds, json)
    measures: dict[Part, Callable[[], list[Row]]] = {
        "one": lambda: throughput(1, steps, rounds),
        "ten": lambda: throughput(10, 2 * steps, rounds),
        "acrobot": lambda: another(ACROBOT, 2 * steps, rounds),
        "lunarlander": lambda: another(LUNARLANDER, 2 * steps, rounds),
        "pieces": all_pieces,
        "memory": lambda: [memory()],
    }
    rows: list[Row] = []
    for part in PARTS:
        if part in parts:
            rows += measures[part]()
            keep([{"peer": None, "ratio": None, **row} for row in rows], json)
    table = Table("case", "ours", "peer", "ratio")
    for row in rows:
        table.add_row(*(str(row.get(key, "")) for key in ("case", "ours", "peer", "ratio")))
    Console().print(table)


if __name__ == "__main__":
    # Here, so that the measured processes, which import this file, do not load them.
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
