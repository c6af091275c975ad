"""stable-baselines3's DQN with a norm in its Q-network: train, save, load, evaluate; TensorBoard shows its log.

python scripts/sb3_dqn.py --norm layer --steps 50000
"""

import sys
from pathlib import Path
from typing import Any

from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from rlnorm.cli import guarded
from rlnorm.sb3 import DQNPolicy
from rlnorm.validation.options import read, typed

LEARNING: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 128, "train_freq": 4, "learning_starts": 1_000}
TARGET: dict[str, Any] = {"target_update_interval": 500, "exploration_fraction": 0.3}


def main(norm: str = "layer", env: str = "CartPole-v1", steps: int = 50_000, out: Path = Path("runs/sb3")) -> None:
    """Train, and print the greedy return of the model as it comes back from disk.

    Args:
        norm: Short name of a norm.
        env: gymnasium's id.
        steps: Environment steps.
        out: Folder of the model and of its TensorBoard log.
    """
    vector, policy, log = make_vec_env(env), {"norm": norm, "net_arch": [64, 64]}, str(out)
    model = DQN(DQNPolicy, vector, policy_kwargs=policy, tensorboard_log=log, seed=0, **LEARNING, **TARGET)
    model.learn(steps, tb_log_name=f"{env}-{norm}")
    file = out / f"dqn-{env}-{norm}.zip"
    model.save(file)
    returns, _ = evaluate_policy(DQN.load(file), vector, n_eval_episodes=20)
    print(f"{file}: greedy return {returns:.1f}, mean of 20 episodes")


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
