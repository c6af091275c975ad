"""stable-baselines3's DQN with a norm in its Q-network: train, save, load, evaluate; TensorBoard shows its log.

python scripts/sb3_dqn.py --norm layer --steps 50000
"""

import argparse
from pathlib import Path
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from rlnorm.nn import NORMS
from rlnorm.sb3 import DQNPolicy

LEARNING: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 128, "train_freq": 4, "learning_starts": 1_000}
TARGET: dict[str, Any] = {"target_update_interval": 500, "exploration_fraction": 0.3}


def main() -> None:
    """Train, and print the greedy return of the model as it comes back from disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--norm", default="layer", choices=NORMS, help="short name of a norm (default: %(default)s)")
    parser.add_argument("--env", default="CartPole-v1", help="gymnasium's name (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/sb3"), help="folder (default: %(default)s)")
    args = parser.parse_args()

    env, policy, log = make_vec_env(args.env), {"norm": args.norm, "net_arch": [64, 64]}, str(args.out)
    model = DQN(DQNPolicy, env, policy_kwargs=policy, tensorboard_log=log, seed=0, **LEARNING, **TARGET)
    model.learn(args.steps, tb_log_name=f"{args.env}-{args.norm}")
    file = args.out / f"dqn-{args.env}-{args.norm}.zip"
    model.save(file)
    returns, _ = evaluate_policy(DQN.load(file), env, n_eval_episodes=20)
    print(f"{file}: greedy return {returns:.1f}, mean of 20 episodes")


if __name__ == "__main__":
    main()
