"""stable-baselines3's DQN and sb3-contrib's QR-DQN, with our layers, as an engine of the records of `rlnorm.dqn.train`.

What is theirs stays theirs: `learn`, the replay buffer, the schedule, the target copies (`rlnorm.dqn.recipes` lists how
they differ from ours). A callback reads what the records hold; nothing of the algorithm is written anew here.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlnorm.errors import unknown
from rlnorm.networks import ACTIVATIONS
from rlnorm.population import RECORDS
from rlnorm.sb3.dqn import DQNPolicy
from rlnorm.tasks.environments import SCALES, environment_errors, spaces

Record = dict[str, Any]
EVALUATION_EPISODES = 20
QUANTILES = 25
"""Quantiles of QR-DQN, the same everywhere: between rl-zoo3's 10 (CartPole) and 170 (LunarLander)."""
ALGORITHMS = ("dqn", "qrdqn")
# Settings of `rlnorm.dqn.train` for which stable-baselines3 has one value, or a few. (`channels` and `kernel` are those
# of images, which `errors` refuses.)
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
    "compile": (False,),
}


def train(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    algorithm: str,
    norm: str,
    norm_kwargs: Mapping[str, Any] | None,
    place: str,
    hidden: Sequence[int],
    activation: str,
    clip: float | None,
    discount: float,
    batch: int,
    buffer: int,
    starts: int,
    train_every: int,
    updates: int,
    target_every: int,
    tau: float,
    epsilon: tuple[float, float, float],
    envs: int,
    **only: object,
) -> Iterator[Record]:
    """Train len(seeds) agents one after the other, and yield the records of all of them at the end.

    Settings, shapes and records are those of `rlnorm.dqn.train`, without probes; `only` holds what stable-baselines3
    leaves no choice about (`ONLY`). `errors` says what it cannot express. q and `diverged` are taken from what its
    updates computed; for QR-DQN a Q is the mean of its quantiles, and the loss the quantile Huber loss.

    stable-baselines3 seeds the global streams of `random`, numpy and torch and draws from them.
    """
    q_limit = 10 * SCALES[env].reward_max / (1 - discount) if env in SCALES else float("inf")
    (make, policy), runs = _classes(algorithm), list[list[Record]]()
    for seed, rate in zip(seeds, rates, strict=True):
        # Environments of one agent are seeded s, s + 1, ...: agents must not be neighbours.
        own, evaluation = (int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(2))
        model = make(
            policy,
            _environments(env, envs, own),
            learning_rate=rate,
            buffer_size=buffer,
            learning_starts=starts,
            batch_size=batch,
            gamma=discount,
            train_freq=max(train_every // envs, 1),
            gradient_steps=updates * max(envs // train_every, 1),
            target_update_interval=target_every,
            tau=tau,
            exploration_initial_eps=epsilon[0],
            exploration_final_eps=epsilon[1],
            exploration_fraction=epsilon[2],
            max_grad_norm=float("inf") if clip is None else clip,
            policy_kwargs={
                "net_arch": list(hidden),
                "activation_fn": ACTIVATIONS[activation],
                "norm": norm,
                "norm_kwargs": norm_kwargs,
                "place": place,
                **({"n_quantiles": QUANTILES} if algorithm == "qrdqn" else {}),
            },
            seed=own,
            device="cpu",
        )
        watch = _Watch(steps, q_limit)
        model.learn(steps, callback=watch, log_interval=steps)
        final, _ = evaluate_policy(model, _environments(env, EVALUATION_EPISODES, evaluation), EVALUATION_EPISODES)
        watch.records[-1]["final_return"] = final
        runs.append(watch.records)
    for together in zip(*runs, strict=True):
        shared = {name: together[0][name] for name in ("step", "epsilon")}
        yield {**shared, **{name: [one[name] for one in together] for name in together[0] if name not in shared}}


def _environments(env: str, count: int, seed: int) -> VecEnv:
    """Without pictures, which stable-baselines3 asks for: LunarLander then simulates its exhaust, at twice the cost."""
    return make_vec_env(env, count, seed=seed, env_kwargs={"render_mode": None})


def _classes(algorithm: str) -> tuple[type[DQN], type[DQNPolicy]]:
    """The algorithm and our policy for it."""
    if algorithm == "dqn":
        return DQN, DQNPolicy
    from sb3_contrib import QRDQN

    from rlnorm.sb3 import QRDQNPolicy

    # No subclasses of DQN's, but with all that is used of them here.
    return QRDQN, QRDQNPolicy  # pyright: ignore[reportReturnType]


class _Watch(BaseCallback):
    """Makes one agent's records while it learns. A record at step s holds the updates that follow step s."""

    def __init__(self, steps: int, q_limit: float):
        super().__init__()
        self.steps, self.q_limit = steps, q_limit
        self.records = list[Record]()
        self._step, self._epsilon, self._due = 0, 0.0, False
        self._diverged, self._updates = False, 0
        self._returns, self._losses, self._q = list[float](), list[float](), list[Tensor]()

    def _on_training_start(self) -> None:
        self._agent = cast("DQN", self.model)  # or QR-DQN, which has all but the name of its network in common
        network = getattr(self._agent, "quantile_net", None) or self._agent.q_net
        network.register_forward_hook(self._saw)

    def _saw(self, network: nn.Module, inputs: object, output: Tensor) -> None:
        """A pass of the online network; those of updates are the ones with gradients. (B, A) or (B, quantiles, A)."""
        if output.requires_grad:
            q = output.detach()
            self._q.append(q if q.dim() == 2 else q.mean(1))

    def _on_rollout_start(self) -> None:
        """Updates have just been made, if any."""
        made = self._agent._n_updates - self._updates
        if made:
            self._losses += [self.logger.name_to_value["train/loss"]] * made
            self._updates = self._agent._n_updates

    def _on_step(self) -> bool:
        if self.num_timesteps > self.steps:  # a step of all environments that the budget does not hold
            return False
        if self._due:
            self._record()
        self._returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        envs = self.training_env.num_envs
        at = self._step, self._step + envs
        self._step, self._epsilon = at[1], self._agent.exploration_rate
        self._due = at[1] * RECORDS // self.steps > at[0] * RECORDS // self.steps
        return True

    def _on_training_end(self) -> None:
        self._on_rollout_start()
        self._record()

    def _record(self) -> None:
        q = torch.stack(self._q) if self._q else torch.zeros(0)
        sane = bool((q.abs() <= self.q_limit).all()) and bool(np.isfinite(self._losses).all())
        self._diverged |= not sane or not all(p.isfinite().all() for p in self._agent.policy.parameters())
        self.records.append(
            {
                "step": self._step,
                "epsilon": self._epsilon,
                "diverged": self._diverged,
                "return": _mean(self._returns),
                "loss": _mean(self._losses),
                "q": float(q.mean()),
            }
        )
        self._due, self._returns, self._losses, self._q = False, [], [], []


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def errors(
    *,
    env: str,
    algorithm: str,
    buffer: int,
    train_every: int,
    target_every: int | None,
    envs: int,
    **settings: object,
) -> Iterator[str]:
    """One sentence for each setting of `rlnorm.dqn.train` that stable-baselines3 cannot express.

    What is wrong by itself is for `rlnorm.dqn.errors` to say.
    """
    if algorithm not in ALGORITHMS:
        yield unknown("algorithm", algorithm, ALGORITHMS)
    elif algorithm == "qrdqn" and importlib.util.find_spec("sb3_contrib") is None:
        yield "algorithm 'qrdqn' needs sb3-contrib: pip install 'rlnorm[contrib]'."
    if not list(environment_errors(env)) and len(spaces(env)[0]) > 1:
        yield f"stable-baselines3 has networks of its own for images such as {env!r}; expected observations as vectors."
    for name, valid in ONLY.items():
        if name in settings and settings[name] not in valid:
            listed = " or ".join(map(repr, valid))
            yield f"stable-baselines3 knows {name} {listed} only, got {settings[name]!r}."
    if target_every is None:
        yield "stable-baselines3's DQN always has a target network: set target_every."
    if min(envs, train_every, target_every or 1) < 1:
        return
    together = f"stable-baselines3 steps its {envs} environments together"
    if train_every % envs and envs % train_every:
        yield f"{together}: train_every must be a multiple or a divisor of that, got {train_every}."
    if (target_every or envs) % envs:
        yield f"{together}: target_every must be a multiple of that, got {target_every}."
    if buffer % envs:
        yield f"{together}: buffer must be a multiple of that, got {buffer}."
