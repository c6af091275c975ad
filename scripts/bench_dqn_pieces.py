"""Where the time of a DQN update goes on CartPole-v1, piece by piece: the part `pieces` of `bench_dqn.py`."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, pairwise
from multiprocessing import get_context
from typing import Any

import bench_dqn
import numpy as np
import torch
from bench_dqn import AGENTS, CARTPOLE, LR, NORMS, OURS, SHARED, Row, timed, together


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

    environments, rng, rows = make(CARTPOLE, agents * envs), np.random.default_rng(0), []
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
    learners, environments = population(norm, agents, replay), make(CARTPOLE, agents * envs)
    observation, _, action, *_ = transitions
    environments.reset(0)
    rows, steps = replay.sample(128, generator), 10 // envs
    window, episodes = Window(learners), Episodes(SHARED["discount"], observation)
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


def all_pieces() -> list[Row]:
    """The pieces of an update for every norm, and the steps/s that its matrix products alone would allow."""
    rows: list[Row] = []
    with get_context("spawn").Pool(1) as pool:
        for norm in NORMS:
            for envs in (1, 10):
                rows += pool.apply(where_time_goes, (norm, envs))
            rows += [pool.apply(update_beside_floor, (norm, agents)) for agents in (AGENTS, 2 * AGENTS)]
    return [*rows, {"case": "steps/s if there were only matrix products", "ours": round(together(products_alone))}]


def main() -> None:
    """Measure all pieces, and print them."""
    bench_dqn.main(parts=("pieces",))


if __name__ == "__main__":
    # Here, so that the measured processes, which import this file, do not load them.
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
