"""`learn` of stable-baselines3's DQN with our layers, beside the same policy with torch.nn's, in one process, in turn.

    python scripts/bench_sb3.py [--rounds 11] [--steps 600] [--train-freq 1] [--json PATH]

CartPole-v1, batch 128, one update per `train-freq` steps, one thread. A row: ours and torch.nn's in milliseconds per
environment step (medians over rounds), and the median ratio of a round (below 1: ours is faster).
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import torch
from stable_baselines3 import DQN
from stable_baselines3.dqn.policies import QNetwork

from rlnorm import nn
from rlnorm.sb3 import DQNPolicy


class TorchsDQNPolicy(DQNPolicy):
    """The same policy with torch.nn's layers in place of ours."""

    def make_q_net(self) -> QNetwork:
        """As ours, converted."""
        swaps = {"layer": "torch.layer", "batch": "torch.batch", "rms": "torch.rms"}
        network = nn.convert(super().make_q_net(), swaps)
        assert isinstance(network, QNetwork)
        return network


def model(policy: type[DQNPolicy], norm: str, width: int, train_freq: int) -> DQN:
    """A DQN that learns from its first steps on."""
    return DQN(
        policy,
        "CartPole-v1",
        batch_size=128,
        learning_starts=130,
        buffer_size=10_000,
        train_freq=train_freq,
        target_update_interval=500,
        policy_kwargs={"norm": norm, "net_arch": [width, width]},
        seed=0,
        device="cpu",
    )


def seconds(learner: DQN, steps: int) -> float:
    """Seconds of `steps` further steps of learning."""
    start = time.perf_counter()
    learner.learn(steps, reset_num_timesteps=False, log_interval=10**6)
    return time.perf_counter() - start


def compare(norm: str, width: int, train_freq: int, rounds: int, steps: int) -> dict[str, object]:
    """One row."""
    learners = [model(policy, norm, width, train_freq) for policy in (DQNPolicy, TorchsDQNPolicy)]
    for learner in learners:
        seconds(learner, 400)
    times = [[seconds(learner, steps) for learner in learners] for _ in range(rounds)]
    ours, peer = (median(column) / steps * 1e3 for column in zip(*times, strict=True))
    ratio = median(mine / its for mine, its in times)
    return {
        "case": f"{norm}, {width}-{width}",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ratio, 3),
    }


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--train-freq", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'case':<18}{'ours ms':>10}{'torch ms':>10}{'ratio':>8}")
    for width in (64, 256):
        for norm in ("layer", "batch", "rms"):
            rows.append(compare(norm, width, args.train_freq, args.rounds, args.steps))
            row = rows[-1]
            print(f"{row['case']:<18}{row['ours']:>10}{row['peer']:>10}{row['ratio']:>8}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
