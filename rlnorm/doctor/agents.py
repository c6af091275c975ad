"""What is examined in a stable-baselines3 model: its policy acting and learning, and what reaches its targets."""

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.preprocessing import get_obs_shape, is_image_space
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize
from torch import Tensor, nn

from rlnorm.doctor import trace
from rlnorm.doctor.subject import ROWS, STEPS, Subject, tensors
from rlnorm.errors import ConfigError

IMAGE_ROWS = 32
ENOUGH = 64
"""Stored observations from which on they are taken for what the agent meets: A2C keeps 5 in a row."""
ACTORS = ("actor", "q_net", "quantile_net")
LIBRARIES = ("stable_baselines3", "sb3_contrib")
Observations = Mapping[str, np.ndarray]
"""By key; observations that are no dictionary under the key ""."""


def of_agent(model: BaseAlgorithm, env: gym.Env | VecEnv | None) -> Subject:
    """An SB3 model, acting as its policy's `predict` sets it and learning as its `train` does."""
    # SB3 lets a policy be compiled; what is examined is the one inside.
    policy = getattr(model.policy, "_orig_mod", model.policy)
    acting, updating = _copied(policy, training=False), _copied(policy, training=True)
    data = _stored(model) if env is None else _played(model, _copied(policy, training=False), env)
    observations = _invented(model.observation_space) if data is None else data
    seen = trace.watch(_copied(policy, training=False), lambda root: _pass(root, observations))
    return Subject(
        what=f"{type(model).__name__} with {type(policy).__name__}",
        root=policy,
        acting=acting,
        updating=updating,
        actors=("",) if isinstance(policy, ActorCriticPolicy) else ACTORS,
        acts=True,
        pairs=tuple((name[:-7], name) for name, _ in policy.named_children() if name.endswith("_target")),
        trace=seen,
        data=data is not None,
        algorithm=model,
    )


def _copied(policy: BasePolicy, training: bool) -> BasePolicy:
    new = trace.duplicate(policy)
    assert isinstance(new, BasePolicy)
    new.set_training_mode(training)
    return new


def _pass(policy: nn.Module, observations: Observations) -> list[Tensor]:
    """All networks of a policy over a batch of observations -> what they return."""
    assert isinstance(policy, BasePolicy)
    obs, _ = policy.obs_to_tensor(_unpacked(observations))
    if isinstance(policy, ActorCriticPolicy):
        return list(tensors(policy(obs, deterministic=True)))
    actions = policy._predict(obs, deterministic=True).detach().float()
    outputs: list[Tensor] = []
    for name, network in policy.named_children():
        if name.startswith(("critic", *ACTORS)):
            outputs += tensors(network(obs, actions) if name.startswith("critic") else network(obs))
    return outputs


def _unpacked(observations: Observations) -> Any:
    return observations[""] if "" in observations else dict(observations)


def _packed(observations: Any) -> dict[str, Any]:
    return dict(observations) if isinstance(observations, Mapping) else {"": observations}


def _rows(space: gym.Space) -> int:
    spaces = _packed(space.spaces if isinstance(space, gym.spaces.Dict) else space).values()
    return IMAGE_ROWS if any(is_image_space(one, check_channels=False) for one in spaces) else ROWS


def _stored(model: BaseAlgorithm) -> Observations | None:
    """Observations, evenly spaced, of what the agent has stored; None where that is too little to judge by."""
    buffer: Any = getattr(model, "replay_buffer", None) or getattr(model, "rollout_buffer", None)
    if not hasattr(buffer, "observations") or buffer.size() * buffer.n_envs < ENOUGH:
        return None
    shapes, taken = _packed(get_obs_shape(model.observation_space)), {}
    for key, stored in _packed(buffer.observations).items():
        rows = stored[: buffer.size()].reshape(-1, *shapes[key])
        taken[key] = rows[np.linspace(0, len(rows) - 1, min(_rows(model.observation_space), len(rows))).astype(int)]
    # On-policy buffers hold observations that are normalized already.
    return taken if isinstance(model, OnPolicyAlgorithm) else _normalized(model, taken)


def _normalized(model: BaseAlgorithm, observations: Observations) -> Observations:
    normalize = model.get_vec_normalize_env()
    return observations if normalize is None else _packed(normalize.normalize_obs(_unpacked(observations)))


def _invented(space: gym.Space) -> Observations:
    """Observations that the space allows, unbounded ones kept within 10."""
    space = copy.deepcopy(space)
    space.seed(0)
    drawn = [_packed(space.sample()) for _ in range(_rows(space))]
    stacked = {key: np.stack([each[key] for each in drawn]) for key in drawn[0]}
    return {key: np.clip(x, -10, 10) if x.dtype.kind == "f" else x for key, x in stacked.items()}


def _played(model: BaseAlgorithm, policy: BasePolicy, env: gym.Env | VecEnv) -> Observations:
    """Observations from steps in `env`, wrapped as stable-baselines3 wraps it; every other action is random."""
    wrapped = model._wrap_env(env, verbose=0, monitor_wrapper=False)
    try:
        check_for_correct_spaces(wrapped, model.observation_space, model.action_space)
    except ValueError as error:
        raise ConfigError(f"env does not fit the model: {error}.") from error
    wrapped.seed(0)
    wrapped.action_space.seed(0)
    seen: list[dict[str, Any]] = []
    observation = wrapped.reset()
    for step in range(-(-STEPS // wrapped.num_envs)):
        if unwrap_vec_normalize(wrapped) is None:
            observation = _unpacked(_normalized(model, _packed(observation)))
        seen.append(copy.deepcopy(_packed(observation)))
        random = np.stack([wrapped.action_space.sample() for _ in range(wrapped.num_envs)])
        actions = policy.predict(observation, deterministic=True)[0] if step % 2 else random  # pyright: ignore[reportArgumentType]
        observation = wrapped.step(actions)[0]
    stacked = {key: np.concatenate([each[key] for each in seen]) for key in seen[0]}
    rows = _rows(model.observation_space)
    return {key: x[np.linspace(0, len(x) - 1, min(rows, len(x))).astype(int)] for key, x in stacked.items()}


def updates_targets_itself(model: BaseAlgorithm) -> bool:
    """Whether the class updates its targets by code of its own, of which nothing is known here."""
    return any(
        not getattr(type(model), name).__module__.startswith(LIBRARIES)
        for name in ("train", "_on_step")
        if hasattr(model, name)
    )


def captured(model: BaseAlgorithm) -> dict[int, int]:
    """What SB3 copies to targets beside the parameters: storage of each online tensor -> storage of its target's."""
    lists = vars(model)
    names = [name for name in lists if name.endswith("batch_norm_stats")]
    pairs = [pair for name in names for pair in zip(lists[name], lists[f"{name}_target"])]
    return {online.data_ptr(): target.data_ptr() for online, target in pairs}


def single_row(model: BaseAlgorithm) -> str:
    """How a minibatch of one comes about; empty where none does."""
    size = getattr(model, "batch_size", None)
    if isinstance(model, OffPolicyAlgorithm):
        return "batch_size=1" if size == 1 else ""
    if not isinstance(model, OnPolicyAlgorithm):
        return ""
    steps = model.n_steps * model.n_envs
    if size is None:
        return "n_steps * n_envs = 1" if steps == 1 else ""
    if size == 1:
        return "batch_size=1"
    return f"n_steps * n_envs = {steps} leaves a last minibatch of 1 at batch_size={size}" if steps % size == 1 else ""
