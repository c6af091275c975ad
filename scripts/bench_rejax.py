"""Speed of the DQN engine beside rejax's DQN (JAX, jit, vmap over seeds), in one run.

    python scripts/bench_rejax.py [--steps 20000] [--rounds 3] [--norms none layer] [--folder DIR] [--json PATH]

CartPole-v1, 64-64 ReLU, batch 128, 10 environments per agent, one update per 10 environment steps, 16 agents a process
and two processes at the same time for either side. Environment steps/s are summed over agents and processes; medians
of rounds, in which ours and theirs alternate. Ours is measured as in `bench_dqn.py`. Theirs is timed over a whole run
whose compilation is done: the steps before learning starts, which are cheaper, count too, in its favour.

rejax 0.1.3 is installed with pip into a virtual environment of its own in DIR, which is kept; without --folder into a
temporary one. What rejax cannot express, and what its own figure leaves out:
    its loss is squared, its clip is by element, and one update per 10 steps needs 10 environments: with one environment
    it updates at every step, so that case is left out;
    minibatches are drawn without replacement; time limits count as terminations; nothing is evaluated or recorded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

REQUIREMENTS = ("rejax==0.1.3", "gymnax==0.0.9")
PROCESSES, AGENTS, ENVS = 2, 16, 10


def environment(folder: Path) -> Path:
    """The Python of a virtual environment in `folder` with rejax, made where there is none."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Installing {' and '.join(REQUIREMENTS)} into {folder}: a minute or two.", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        (folder / "ready").touch()
    return python


def rejax_trainer(norm: str, steps: int) -> Callable[[int], None]:
    """A compiled call that trains `AGENTS` agents from seeds that follow the one given. In rejax's own Python."""
    import flax.linen as nn  # pyright: ignore[reportMissingImports]
    import jax  # pyright: ignore[reportMissingImports]
    from rejax import get_algo  # pyright: ignore[reportMissingImports]
    from rejax.networks import (  # pyright: ignore[reportMissingImports]
        DiscreteQNetwork,
        EpsilonGreedyPolicy,
    )

    class Normalized(DiscreteQNetwork):
        """rejax's Q-network with LayerNorm before each activation."""

        @nn.compact
        def __call__(self, obs: Any) -> Any:
            x = obs
            for size in self.hidden_layer_sizes:
                x = self.activation(nn.LayerNorm()(nn.Dense(size)(x)))
            return nn.Dense(self.action_dim)(x)

    algorithm = get_algo("dqn").create(
        env="CartPole-v1",
        agent_kwargs={"activation": "relu"},
        num_envs=ENVS,
        num_epochs=1,
        batch_size=128,
        buffer_size=10_000,
        fill_buffer=1_000,
        target_update_freq=500,
        polyak=0.0,
        ddqn=False,
        gamma=0.99,
        learning_rate=2.5e-4,
        max_grad_norm=10.0,
        exploration_fraction=0.5,
        total_timesteps=steps,
        eval_freq=steps,
        skip_initial_evaluation=True,
    )
    algorithm = algorithm.replace(eval_callback=lambda *_: ())
    if norm == "layer":
        own = {"hidden_layer_sizes": (64, 64), "action_dim": 2, "activation": nn.relu}
        algorithm = algorithm.replace(agent=EpsilonGreedyPolicy(Normalized)(**own))
    run = jax.jit(jax.vmap(algorithm.train))

    def train(seed: int) -> None:
        state, _ = jax.block_until_ready(run(jax.random.split(jax.random.PRNGKey(seed), AGENTS)))
        assert (state.global_step == steps).all()
        assert (abs(state.q_ts.step - (steps - 1_000) / ENVS) <= 2).all()

    return train


def answer(norm: str, steps: int) -> None:
    """Compile, then train once for each seed on standard input and print the steps/s."""
    import jax  # pyright: ignore[reportMissingImports]

    train = rejax_trainer(norm, steps)
    train(0)
    print(f"jax {jax.__version__}", flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        train(int(line))
        print(AGENTS * steps / (time.perf_counter() - begin), flush=True)


@contextmanager
def peers(python: Path, norm: str, steps: int) -> Iterator[tuple[str, Callable[[int], float]]]:
    """Compiled processes of rejax -> what they run on, and a call that lets them train together: the sum of steps/s."""
    command = [python, "-W", "ignore", __file__, "--answer", norm, "--steps", str(steps)]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)) for _ in range(PROCESSES)
        ]

        def ask(process: "subprocess.Popen[str]", line: str) -> None:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()

        def told(process: "subprocess.Popen[str]") -> str:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise SystemExit(f"rejax ended with exit code {process.wait()}; its errors are above.")
            return line

        versions = {told(process) for process in running}

        def together(seed: int) -> float:
            for i, process in enumerate(running):
                ask(process, f"{seed + i}\n")
            return sum(float(told(process)) for process in running)

        yield ", ".join(versions), together


def compare(python: Path, norm: str, steps: int, rounds: int) -> dict[str, object]:
    """One row: ours beside rejax's with one norm."""
    import bench_dqn

    assert (bench_dqn.PROCESSES, bench_dqn.AGENTS) == (PROCESSES, AGENTS)
    ours, theirs = list[float](), list[float]()
    with peers(python, norm, steps) as (versions, rejax):
        for seed in range(rounds):
            ours.append(bench_dqn.together(bench_dqn.ours, norm, ENVS, steps))
            theirs.append(rejax(PROCESSES * seed))
    mine, its = statistics.median(ours), statistics.median(theirs)
    case = f"steps/s beside rejax ({versions}), {ENVS} envs per agent, {norm}"
    row = {"case": case, "ours": round(mine), "peer": round(its), "ratio": round(mine / its, 2)}
    return {**row, "rounds": {"ours": ours, "peer": theirs}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows {case, ours, peer, ratio, rounds} here")
    parser.add_argument("--folder", type=Path, help="keep rejax's virtual environment here")
    parser.add_argument("--steps", type=int, default=20_000, help="environment steps per agent")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--norms", nargs="+", choices=("none", "layer"), default=["none", "layer"])
    parser.add_argument("--answer", choices=("none", "layer"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.answer:
        answer(options.answer, options.steps)
        return
    with TemporaryDirectory() as temporary:
        python = environment((options.folder or Path(temporary) / "rejax").absolute())
        rows = [compare(python, norm, options.steps, options.rounds) for norm in options.norms]
    for row in rows:
        print(f"{row['case']}: ours {row['ours']}, rejax {row['peer']}, ratio {row['ratio']}; {row['rounds']}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
