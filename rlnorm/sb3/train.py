"""stable-baselines3's DQN and sb3-contrib's QR-DQN, with our layers, as an engine with the records of `rlnorm.dqn`.

Learning, replay, schedule and target copies are stable-baselines3's own (`rlnorm.dqn.recipes` says how they differ from
ours). A callback reads what the records need.
"""

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlnorm.dqn.records import EVALUATION_EPISODES
from rlnorm.dqn.schedule import record_due
from rlnorm.dqn.settings import Settings
from rlnorm.errors import unknown
from rlnorm.networks import ACTIVATIONS
from rlnorm.sb3.dqn import DQNPolicy
from rlnorm.tasks.environments import environment_errors, spaces

Record = dict[str, Any]
QUANTILES = 25
"""Quantiles of QR-DQN, the same everywhere: between rl-zoo3's 10 (CartPole) and 170 (LunarLander)."""
ALGORITHMS = ("dqn", "qrdqn")
# The values that stable-baselines3 has for settings of ours. `channels` and `kernel` are for images, which are refused.
ONLY: Mapping[str, tuple[object, ...]] = {
    "sites": (("hidden",),),
    "loss": ("huber",),
    "double": (False,),
    "optimizer": ("adam",),
    "recipe": ("supervised", "sb3"),
    "modes": (None,),
    "reward_scale": (1.0,),
    "normalize_observations": (False,),
    "init": ("torch",),
    "init_scale": (1.0,),
    "collect": (None,),
    "assisted": (0.0,),
    "offline": (False,),
    "environments": ("gymnasium",),
    "compile": (False,),
}


@dataclass(frozen=True, kw_only=True)
class SB3Settings(Settings):
    """DQN's settings, of which stable-baselines3 knows some values only, and the algorithm: "dqn" or "qrdqn"."""

    algorithm: str = "dqn"

    def errors(self) -> Iterator[str]:
        """See `Config.errors`."""
        yield from super().errors()
        yield from self._not_in_sb3()

    def _not_in_sb3(self) -> Iterator[str]:
        """One sentence for each setting that stable-baselines3 cannot express."""
        if self.algorithm not in ALGORITHMS:
            yield unknown("algorithm", self.algorithm, ALGORITHMS)
        elif self.algorithm == "qrdqn" and importlib.util.find_spec("sb3_contrib") is None:
            yield "algorithm 'qrdqn' needs sb3-contrib: pip install 'rlnorm[contrib]'."
        if not list(environment_errors(self.env)) and len(spaces(self.env)[0]) > 1:
            yield (
                f"stable-baselines3 has networks of its own for images such as {self.env!r}; "
                "expected observations as vectors."
            )
        for name, valid in ONLY.items():
            if getattr(self, name) not in valid:
                listed = " or ".join(map(repr, valid))
                yield f"stable-baselines3 knows {name} {listed} only, got {getattr(self, name)!r}."
        if self.target_every is None:
            yield "stable-baselines3's DQN always has a target network: set target_every."
        if min(self.envs, self.train_every, self.target_every or 1) < 1:
            return
        together = f"stable-baselines3 steps its {self.envs} environments together"
        if self.train_every % self.envs and self.envs % self.train_every:
            yield f"{together}: train_every must be a multiple or a divisor of that, got {self.train_every}."
        if (self.target_every or self.envs) % self.envs:
            yield f"{together}: target_every must be a multiple of that, got {self.target_every}."
        if self.buffer % self.envs:
            yield f"{together}: buffer must be a multiple of that, got {self.buffer}."


def train(**settings: Any) -> Iterator[Record]:
    """Train one agent after the other, then yield the records of all.

    `settings` are fields of `SB3Settings`. Shapes and records are those of `rlnorm.dqn.train`, without probes. q,
    `beyond` and `diverged` are taken from the Q that updates computed; QR-DQN's Q is the mean of its quantiles, and its
    loss the quantile Huber loss. Raises ConfigError with all errors.

    stable-baselines3 seeds the global random streams of `random`, numpy and torch, and draws from them.
    """
    run, runs = SB3Settings.checked(settings), list[list[Record]]()
    make, policy = _classes(run.algorithm)
    for seed, rate in zip(run.seeds, run.rates, strict=True):
        # stable-baselines3 seeds an agent's environments s, s + 1, ...: agents need seeds that are far apart.
        agent_seed, evaluation_seed = (int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(2))
        model = make(
            policy,
            _environments(run.env, run.envs, agent_seed),
            learning_rate=rate,
            buffer_size=run.buffer,
            learning_starts=run.starts,
            batch_size=run.batch,
            gamma=run.discount,
            train_freq=max(run.train_every // run.envs, 1),
            gradient_steps=run.updates * max(run.envs // run.train_every, 1),
            target_update_interval=cast("int", run.target_every),
            tau=run.tau,
            exploration_initial_eps=run.epsilon[0],
            exploration_final_eps=run.epsilon[1],
            exploration_fraction=run.epsilon[2],
            max_grad_norm=float("inf") if run.clip is None else run.clip,
            policy_kwargs={
                "net_arch": list(run.hidden),
                "activation_fn": ACTIVATIONS[run.activation],
                "norm": run.norm,
                "norm_kwargs": run.norm_kwargs,
                "place": run.place,
                **({"n_quantiles": QUANTILES} if run.algorithm == "qrdqn" else {}),
            },
            seed=agent_seed,
            device="cpu",
        )
        watch = _Watch(run.steps, run.q_limit, run.success)
        model.learn(run.steps, callback=watch, log_interval=run.steps)
        evaluation = _environments(run.env, EVALUATION_EPISODES, evaluation_seed)
        final, _ = evaluate_policy(model, evaluation, EVALUATION_EPISODES)
        watch.records[-1] |= {"final_return": final, "first_success": watch.first_success}
        runs.append(watch.records)
    for together in zip(*runs, strict=True):
        shared = {name: together[0][name] for name in ("step", "epsilon")}
        yield {**shared, **{name: [one[name] for one in together] for name in together[0] if name not in shared}}


def _environments(env: str, count: int, seed: int) -> VecEnv:
    """Environments that render nothing: with stable-baselines3's default LunarLander simulates its exhaust too.

    That takes twice the time.
    """
    return make_vec_env(env, count, seed=seed, env_kwargs={"render_mode": None})


def _classes(algorithm: str) -> tuple[type[DQN], type[DQNPolicy]]:
    """The algorithm and our policy for it."""
    if algorithm == "dqn":
        return DQN, DQNPolicy
    from sb3_contrib import QRDQN

    from rlnorm.sb3 import QRDQNPolicy

    # They are no subclasses of DQN's, but have every attribute that is used here.
    return QRDQN, QRDQNPolicy  # pyright: ignore[reportReturnType]


class _Watch(BaseCallback):
    """Makes one agent's records while it learns. The record at step s includes the updates that follow step s."""

    def __init__(self, steps: int, q_limit: float, success: float = float("inf")):
        super().__init__()
        self.steps, self.q_limit, self.success = steps, q_limit, success
        self.first_success = float("nan")
        self.records = list[Record]()
        self._step, self._epsilon, self._due = 0, 0.0, False
        self._diverged, self._updates = False, 0
        self._returns, self._losses, self._q = list[float](), list[float](), list[Tensor]()

    def _on_training_start(self) -> None:
        self._agent = cast("DQN", self.model)  # or QR-DQN, whose network has another name
        network = getattr(self._agent, "quantile_net", None) or self._agent.q_net
        network.register_forward_hook(self._keep_q)

    def _keep_q(self, network: nn.Module, inputs: object, output: Tensor) -> None:
        """Keep the Q of updates, the passes with gradients. Outputs: (B, actions), or (B, quantiles, actions)."""
        if output.requires_grad:
            q = output.detach()
            self._q.append(q if q.dim() == 2 else q.mean(1))

    def _on_rollout_start(self) -> None:
        """Keep the loss: if updates were due, they have just been made."""
        made = self._agent._n_updates - self._updates
        if made:
            self._losses += [self.logger.name_to_value["train/loss"]] * made
            self._updates = self._agent._n_updates

    def _on_step(self) -> bool:
        if self.num_timesteps > self.steps:  # the last step of all environments would exceed the budget
            return False
        if self._due:
            self._record()
        before = self._step
        self._step, self._epsilon = before + self.training_env.num_envs, self._agent.exploration_rate
        finished = [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        if math.isnan(self.first_success) and max(finished, default=-math.inf) >= self.success:
            self.first_success = float(self._step)
        self._returns += finished
        self._due = record_due(before, self._step, self.steps)
        return True

    def _on_training_end(self) -> None:
        self._on_rollout_start()
        self._record()

    def _record(self) -> None:
        q = torch.stack(self._q) if self._q else torch.zeros(0, 1, 1)
        finite = bool(q.isfinite().all()) and bool(np.isfinite(self._losses).all())
        self._diverged |= not finite or not all(p.isfinite().all() for p in self._agent.policy.parameters())
        self.records.append(
            {
                "step": self._step,
                "epsilon": self._epsilon,
                "diverged": self._diverged,
                "return": _mean(self._returns),
                "loss": _mean(self._losses),
                "q": float(q.mean()),
                "beyond": float((~(q.abs().amax((1, 2)) <= self.q_limit)).float().mean()),
            }
        )
        self._due, self._returns, self._losses, self._q = False, [], [], []


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
