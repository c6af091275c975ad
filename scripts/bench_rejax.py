"""Speed of the DQN engine beside rejax's DQN (JAX, jit, vmap over seeds), in one run.

python scripts/bench_rejax.py --steps 20000 --rounds 3 --folder rejax --json rows.json

CartPole-v1, 64-64 ReLU, batch 128, 10 environments per agent, one update per 10 environment steps, 16 agents a process
and two processes at the same time for each side. Environment steps/s are summed over agents and processes. Rounds of
the two sides alternate; medians are shown. Ours is measured as in `bench_dqn.py`. Theirs is timed over a whole run,
after its compilation. This favours it: the steps before learning starts are cheaper and count too.

rejax 0.1.3 is installed with pip into a virtual environment of its own. The two sides differ in these points:

* The loss of rejax is squared, and it clips each element of the gradient.
* One update per 10 steps needs 10 environments: with one environment rejax updates at every step. So the case of one
  environment is left out.
* rejax draws minibatches without replacement, counts time limits as terminations, and evaluates and records nothing.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

# rejax's Python imports this file too, and has neither torch nor rlnorm: functions of ours import them.
if TYPE_CHECKING:
    from bench_dqn import Row

Norm = Literal["none", "layer"]
NORMS: tuple[Norm, ...] = get_args(Norm)
REQUIREMENTS = ("rejax==0.1.3", "gymnax==0.0.9")
PROCESSES, AGENTS, ENVS = 2, 16, 10


def environment(folder: Path) -> Path:
    """The Python of the virtual environment with rejax in `folder`, which is made where it is missing."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Installing {' and '.join(REQUIREMENTS)} into {folder}: a minute or two.", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        (folder / "ready").touch()
    return python


def rejax_trainer(norm: str, steps: int) -> Callable[[int], None]:
    """A compiled function that trains `AGENTS` agents from one seed. For rejax's Python."""
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
        layout = {"hidden_layer_sizes": (64, 64), "action_dim": 2, "activation": nn.relu}
        algorithm = algorithm.replace(agent=EpsilonGreedyPolicy(Normalized)(**layout))
    run = jax.jit(jax.vmap(algorithm.train))

    def train(seed: int) -> None:
        state, _ = jax.block_until_ready(run(jax.random.split(jax.random.PRNGKey(seed), AGENTS)))
        assert (state.global_step == steps).all()
        assert (abs(state.q_ts.step - (steps - 1_000) / ENVS) <= 2).all()

    return train


def answer(norm: str, steps: int) -> None:
    """Compile, then train once for each seed on standard input and print the steps/s. For rejax's Python."""
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
    """Compiled processes of rejax.

    Gives their versions, and a function that lets them train at the same time from a seed -> the sum of steps/s.
    """
    command = [python, "-W", "ignore", "-c", f"from bench_rejax import answer; answer({norm!r}, {steps})"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    here = Path(__file__).parent
    with ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen(command, cwd=here, **pipes)) for _ in range(PROCESSES)]

        def send(process: "subprocess.Popen[str]", line: str) -> None:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()

        def received(process: "subprocess.Popen[str]") -> str:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line:
                raise SystemExit(f"rejax ended with exit code {process.wait()}; its errors are above.")
            return line

        versions = {received(process) for process in running}

        def together(seed: int) -> float:
            for i, process in enumerate(running):
                send(process, f"{seed + i}\n")
            return sum(float(received(process)) for process in running)

        yield ", ".join(versions), together


def compare(python: Path, norm: str, steps: int, rounds: int) -> "Row":
    """The row of one norm: ours beside rejax's."""
    import bench_dqn

    assert (bench_dqn.PROCESSES, bench_dqn.AGENTS) == (PROCESSES, AGENTS)
    ours, theirs = list[float](), list[float]()
    with peers(python, norm, steps) as (versions, rejax):
        for seed in range(rounds):
            ours.append(bench_dqn.together(bench_dqn.ours, bench_dqn.CARTPOLE, "gymnasium", norm, ENVS, steps))
            theirs.append(rejax(PROCESSES * seed))
    case = f"steps/s beside rejax ({versions}), {ENVS} envs per agent, {norm}"
    return bench_dqn.beside(case, ours, theirs)


def main(
    steps: int = 20_000,
    rounds: int = 3,
    norms: tuple[Norm, ...] = NORMS,
    folder: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure, print, and write the rows where asked for.

    Args:
        steps: Environment steps per agent.
        rounds: Rounds of both sides.
        norms: Short names of norms.
        folder: Keep rejax's virtual environment here and use the one found here; a temporary one where not given.
        json: Write the rows {case, ours, peer, ratio, rounds} to this file after each norm.
    """
    from bench_dqn import check, keep, training

    check([training(norm, ENVS, steps) for norm in norms], rounds, json)
    rows: list[Row] = []
    with TemporaryDirectory() as temporary:
        python = environment((folder or Path(temporary) / "rejax").absolute())
        for norm in norms:
            row = compare(python, norm, steps, rounds)
            print(f"{row['case']}: ours {row['ours']}, rejax {row['peer']}, ratio {row['ratio']}; {row['rounds']}")
            rows.append(row)
            keep(rows, json)


if __name__ == "__main__":
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
