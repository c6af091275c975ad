"""Observations for a stable-baselines3 model: given, stored by the agent, met in an environment, or invented."""

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize
from torch import Tensor

from rlnorm.doctor.findings import said
from rlnorm.doctor.inputs import ROWS, STEPS
from rlnorm.errors import ConfigError

IMAGE_ROWS = 32
ENOUGH = 64
"""Fewest stored observations that represent what the agent sees: A2C keeps 5 in a row."""
Observations = Mapping[str, np.ndarray]
"""By key; observations that are no dictionary under the key ""."""


def observations_of(
    model: BaseAlgorithm, policy: BasePolicy, env: gym.Env | VecEnv | None, inputs: object
) -> tuple[Observations, str]:
    """A batch of observations, and why they are invented; empty where they are not."""
    if inputs is not None:
        return _given(model, policy, inputs), ""
    try:
        found = _stored(model) if env is None else _played(model, policy, env)
        if found is not None:
            return found, ""
        no_data = f"no observations: fewer than {ENOUGH} are stored, and no env and no inputs were given"
    except ConfigError:
        raise
    except Exception as error:
        no_data = f"{'what is stored cannot be read' if env is None else 'env fails'}: {said(error)}"
    return _invented(model.observation_space), no_data


def count(observations: Observations) -> int:
    """The number of rows."""
    return len(next(iter(observations.values())))


def unpacked(observations: Observations) -> Any:
    """Observations as a policy takes them."""
    return observations[""] if "" in observations else dict(observations)


def _packed(observations: Any) -> dict[str, Any]:
    return dict(observations) if isinstance(observations, Mapping) else {"": observations}


def _spaces(space: gym.Space) -> dict[str, Any]:
    return _packed(space.spaces if isinstance(space, gym.spaces.Dict) else space)


def _rows(space: gym.Space) -> int:
    return IMAGE_ROWS if any(is_image_space(one, check_channels=False) for one in _spaces(space).values()) else ROWS


def _evenly(observations: Observations, space: gym.Space) -> Observations:
    rows, stored = _rows(space), count(observations)
    chosen = np.linspace(0, stored - 1, min(rows, stored)).astype(int)
    return {key: x[chosen] for key, x in observations.items()}


def _given(model: BaseAlgorithm, policy: BasePolicy, inputs: Any) -> Observations:
    """Observations as an environment gives them, (n, ...), by key for a Dict space."""
    if isinstance(inputs, tuple) and len(inputs) == 1:
        inputs = inputs[0]
    arrays = {
        key: x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x) for key, x in _packed(inputs).items()
    }
    try:
        observations = _normalized(model, arrays)
        _, batched = policy.obs_to_tensor(unpacked(observations))
    except Exception as error:
        raise ConfigError(f"inputs do not fit the model's {model.observation_space}: {said(error)}.") from error
    if not batched:
        raise ConfigError(f"inputs of a model are a batch of observations, (n, ...), of {model.observation_space}.")
    return observations


def _stored(model: BaseAlgorithm) -> Observations | None:
    """Observations, evenly spaced, that the agent has stored; None where they are too few to judge by."""
    buffer: Any = getattr(model, "replay_buffer", None) or getattr(model, "rollout_buffer", None)
    if not hasattr(buffer, "observations") or buffer.size() * buffer.n_envs < ENOUGH:
        return None
    shapes = {key: space.shape for key, space in _spaces(model.observation_space).items()}
    stored = {key: x[: buffer.size()].reshape(-1, *shapes[key]) for key, x in _packed(buffer.observations).items()}
    taken = _evenly(stored, model.observation_space)
    # On-policy buffers hold observations that are normalized already.
    return taken if isinstance(model, OnPolicyAlgorithm) else _normalized(model, taken)


def _normalized(model: BaseAlgorithm, observations: Observations) -> Observations:
    normalize = model.get_vec_normalize_env()
    return observations if normalize is None else _packed(normalize.normalize_obs(unpacked(observations)))


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
            observation = unpacked(_normalized(model, _packed(observation)))
        seen.append(copy.deepcopy(_packed(observation)))
        observation = wrapped.step(_acted(policy, wrapped, observation, greedy=bool(step % 2)))[0]
    stacked = {key: np.concatenate([each[key] for each in seen]) for key in seen[0]}
    return _evenly(stacked, model.observation_space)


def _acted(policy: BasePolicy, env: VecEnv, observation: Any, greedy: bool) -> np.ndarray:
    """Actions of the policy, or random ones; where the environment masks actions, only allowed ones."""
    takes_masks = "action_masks" in inspect.signature(policy.predict).parameters and env.has_attr("action_masks")
    masks: dict[str, Any] = {"action_masks": np.stack(env.env_method("action_masks"))} if takes_masks else {}
    try:
        if greedy or masks:
            return policy.predict(observation, deterministic=greedy, **masks)[0]
    except Exception:
        # A policy that fails on these rows, as some norms do on one, is found out by the checks.
        pass
    return np.stack([env.action_space.sample() for _ in range(env.num_envs)])
