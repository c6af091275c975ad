"""Speed of the DQN engine beside stable-baselines3's DQN, in one run, and where its time goes.

python scripts/bench_dqn.py --parts one ten --json rows.json

CartPole-v1, 64-64, batch 128, one update per 10 environment steps. Each side has two processes with one torch thread
each: ours with 16 agents a process, stable-baselines3's with one. Environment steps/s are summed over agents and
processes and leave out start-up, compilation and evaluation. Rounds of the two sides alternate; medians are shown.

Parts: throughput with `one` and with `ten` environments per agent, `pieces` of an update, `memory`. The first run on a
machine compiles; later each part takes at most three minutes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, count, pairwise
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

Part = Literal["one", "ten", "pieces", "memory"]
Row = Mapping[str, object]
PARTS: tuple[Part, ...] = get_args(Part)
PROCESSES, AGENTS, ROUNDS = 2, 16, 3
NORMS = ("none", "layer", "batch")
# The only loss and clip of stable-baselines3's DQN.
OURS: dict[str, Any] = {"loss": "huber", "clip": 10.0, "train_every": 10, "hidden": (64, 64)}
SHARED: dict[str, Any] = {"batch": 128, "buffer": 10_000, "starts": 1_000, "target_every": 500, "discount": 0.99}
LR = 2.5e-4


def training(norm: str, envs: int, steps: int, seeds: Sequence[int] = range(AGENTS)) -> dict[str, Any]:
    """The arguments of `rlnorm.dqn.train`."""
    agents = {"seeds": seeds, "rates": [LR] * len(seeds), "norm": norm, "compile": True}
    return {"env": "CartPole-v1", "envs": envs, "steps": steps, **agents, **SHARED, **OURS}


def engine_speed(arguments: Mapping[str, Any]) -> float:
    """Environment steps/s of `rlnorm.dqn.train`, from a fifth of the budget to the last record but one."""
    from rlnorm.dqn import train

    torch.set_num_threads(1)
    times = [(record["step"], time.perf_counter()) for record in train(**arguments)]
    (first, begin), (last, end) = times[len(times) // 5], times[-2]
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


def ours(norm: str, envs: int, steps: int, seed: int) -> float:
    """Environment steps/s of one process with `AGENTS` agents."""
    return engine_speed(training(norm, envs, steps, range(seed, seed + AGENTS)))


def stable_baselines3(_: str, envs: int, steps: int, seed: int) -> float:
    """Environment steps/s of one process with one agent, under the same settings."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    model = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=envs, seed=seed),
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


def throughput(envs: int, steps: int, rounds: int) -> list[Row]:
    """A row for every norm. stable-baselines3 makes half the steps."""
    measured: dict[str, list[float]] = {name: [] for name in ("sb3", *NORMS)}
    for _ in range(rounds):
        for name, values in measured.items():
            function = stable_baselines3 if name == "sb3" else ours
            values.append(together(function, name, envs, steps // 2 if name == "sb3" else steps))
    return [beside(f"steps/s, {envs} envs per agent, {norm}", measured[norm], measured["sb3"]) for norm in NORMS]


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


def gemm_floor(agents: int, batch: int, sizes: Sequence[int]) -> Callable[[], None]:
    """Only the matrix products of one update: two forward passes, and the backward pass of one of them."""
    rng = torch.Generator().manual_seed(0)
    shapes = [((agents, batch, i), (agents, i, o), (agents, batch, o)) for i, o in pairwise(sizes)]
    layers = [tuple(torch.randn(shape, generator=rng) for shape in each) for each in shapes]

    def products() -> None:
        for depth, (x, w, g) in enumerate(layers):
            torch.bmm(x, w)
            torch.bmm(x, w)
            torch.bmm(x.transpose(1, 2), g)
            if depth:
                torch.bmm(g, w.transpose(1, 2))

    return products


def products_alone(seed: int) -> float:
    """Environment steps/s of one process if only the matrix products of its updates took time."""
    torch.set_num_threads(1)
    return 10 * AGENTS / (timed(gemm_floor(AGENTS, 128, (4, 64, 64, 2)), seconds=3) / 1e3)


def population(norm: str, agents: int, replay: Any) -> Any:
    """Compiled agents, with the allocator of the throughput runs."""
    from rlnorm.dqn.agents import Agents
    from rlnorm.dqn.memory import Heap
    from rlnorm.dqn.recipes import RECIPES
    from rlnorm.networks import mlp

    Heap()
    return Agents(
        lambda: mlp(4, 2, hidden=(64, 64), norm=norm),
        range(agents),
        [LR] * agents,
        unpack=replay.unpack,
        recipe=RECIPES["supervised"],
        loss=OURS["loss"],
        clip=OURS["clip"],
        compile=True,
    )


def filled(agents: int, envs: int) -> tuple[Any, tuple[np.ndarray, ...]]:
    """A replay of 2000 steps per agent, and the transitions of each of these steps."""
    from rlnorm.dqn.replay import Replay

    replay, rng = Replay(agents, 10_000, (4,)), np.random.default_rng(0)
    observation = rng.normal(size=(agents, envs, 4)).astype(np.float32)
    ones = np.ones((agents, envs))
    transitions = (observation, observation, rng.integers(2, size=(agents, envs)), ones, ones)
    for _ in range(2000 // envs):
        replay.add(*transitions)
    return replay, transitions


def played(agents: int, envs: int, steps: int) -> list[tuple[np.ndarray, ...]]:
    """Steps of CartPole under random actions: rewards and ends (agents, envs), and observations (agents, envs, 4)."""
    from rlnorm.tasks.environments import make

    environments, rng, rows = make("CartPole-v1", agents * envs), np.random.default_rng(0), []
    environments.reset(0)
    for _ in range(steps):
        step = environments.step(rng.integers(2, size=agents * envs))
        row = step.reward, step.terminated | step.truncated, step.observation
        rows.append(tuple(x.reshape(agents, envs, *x.shape[1:]) for x in row))
    return rows


def where_time_goes(norm: str, envs: int, agents: int = AGENTS) -> list[Row]:
    """Milliseconds per update of every piece of the loop (10 environment steps per agent), each timed alone.

    An update is compiled as a whole. Its forward passes, and these with the backward pass, are compiled again by
    themselves; the parts are differences of these times. Probes have their highest rate, that of runs of 6 000 updates.
    Logging is that of 100 updates with one record per 500 steps, as in runs of 50 000 steps. Episodes are those of
    random actions and end after about 22 steps.
    """
    from rlnorm.compiling import compiled
    from rlnorm.dqn.episodes import Episodes
    from rlnorm.dqn.losses import chosen, huber, q_learning_target
    from rlnorm.dqn.probing import APART, Probing
    from rlnorm.dqn.records import Window
    from rlnorm.tasks.environments import make

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    replay, transitions = filled(agents, envs)
    learners, environments = population(norm, agents, replay), make("CartPole-v1", agents * envs)
    observation, _, action, *_ = transitions
    environments.reset(0)
    rows, steps = replay.sample(128, generator), 10 // envs
    window, episodes = Window(agents), Episodes(SHARED["discount"], observation)
    seen = played(agents, envs, 100 * steps)

    def losses(leaves: dict[str, torch.Tensor]) -> torch.Tensor:
        batch, online = replay.unpack(rows), learners.online
        with torch.no_grad():
            q_t = online.apply(learners.target_parameters.views, learners.target_buffers.views, batch.s_t, "eval")
        q_tm1 = online.apply(leaves, online.buffers.views, batch.s_tm1, "train")
        goal = q_learning_target(batch.r_t, batch.discount_t, q_t)
        return huber(chosen(q_tm1, batch.a_tm1), goal).mean(-1)

    def backward() -> tuple[torch.Tensor, ...]:
        leaves = learners.online.leaves()
        return torch.autograd.grad(losses(leaves).sum(), list(leaves.values()))

    def log() -> None:
        for update in range(1, 101):
            for step in seen[(update - 1) * steps : update * steps]:
                episodes.step(*step)
            window.update(rows[:, 0, 0], rows[:, 0, 1])
            if update % 50 == 0:
                episodes.take()
                window.take()

    # As many measurements as steps, so that every call measures.
    probing, calls = Probing(learners, 10**6, 10**6, episodes), count(1)
    passes = timed(partial(compiled(torch.no_grad()(losses)), learners.online.parameters.views))
    gradients = timed(compiled(backward))
    whole = timed(lambda: learners.update(rows))
    pieces = {
        "environment": timed(lambda: environments.step(action.ravel())) * steps,
        "acting": timed(lambda: learners.act(torch.from_numpy(observation)).numpy()) * steps,
        "replay, add": timed(lambda: replay.add(*transitions)) * steps,
        "replay, sample": timed(lambda: replay.sample(128, generator)),
        "update, forward passes": passes,
        "update, backward pass": gradients - passes,
        "update, optimizer": whole - gradients,
        "logging": timed(log) / 100,
        "probes": (timed(lambda: probing.update(next(calls), rows)) - whole) / APART,
    }
    total, setting = sum(pieces.values()), f"{envs} envs, {agents} agents, {norm}"
    percentage = 100 * (pieces["logging"] + pieces["probes"]) / total
    return [
        *(
            {"case": f"ms per update, {setting}: {name}", "ours": round(value, 3)}
            for name, value in {**pieces, "sum": total}.items()
        ),
        {"case": f"% of the time, {setting}: logging and probes", "ours": round(percentage, 1)},
    ]


def update_beside_floor(norm: str, agents: int) -> Row:
    """Milliseconds of one update beside those of its matrix products alone."""
    torch.set_num_threads(1)
    replay, _ = filled(agents, 10)
    learners = population(norm, agents, replay)
    rows = replay.sample(128, torch.Generator().manual_seed(0))
    mine, floor = timed(lambda: learners.update(rows)), timed(gemm_floor(agents, 128, (4, 64, 64, 2)))
    case = f"ms of an update beside its matrix products, {agents} agents, {norm}"
    return {"case": case, "ours": round(mine, 3), "peer": round(floor, 3), "ratio": round(mine / floor, 2)}


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


def all_pieces() -> list[Row]:
    """The pieces of an update for every norm, and the steps/s that its matrix products alone would allow."""
    rows: list[Row] = []
    with get_context("spawn").Pool(1) as pool:
        for norm in NORMS:
            for envs in (1, 10):
                rows += pool.apply(where_time_goes, (norm, envs))
            rows += [pool.apply(update_beside_floor, (norm, agents)) for agents in (AGENTS, 2 * AGENTS)]
    return [*rows, {"case": "steps/s if there were only matrix products", "ours": round(together(products_alone))}]


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
        steps: Environment steps per agent of ours, and half of those of stable-baselines3's; twice as many in `ten`.
        rounds: Rounds of both sides.
        json: Write the rows {case, ours, peer, ratio, rounds} to this file after each part.
    """
    check([training(norm, 1, steps) for norm in NORMS], rounds, json)
    measures: dict[Part, Callable[[], list[Row]]] = {
        "one": lambda: throughput(1, steps, rounds),
        "ten": lambda: throughput(10, 2 * steps, rounds),
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
