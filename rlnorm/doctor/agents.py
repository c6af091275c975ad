"""The subject of a stable-baselines3 model: its policy acting and learning, and the state that reaches its targets."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlnorm.doctor import trace
from rlnorm.doctor.copies import duplicate, refuse, unwrapped, view
from rlnorm.doctor.findings import Unmade
from rlnorm.doctor.observations import Observations, count, observations_of, unpacked
from rlnorm.doctor.subject import Subject
from rlnorm.probes.nested import tensors

ACTORS = ("actor", "q_net", "quantile_net")
LIBRARIES = ("stable_baselines3", "sb3_contrib")


def of_agent(model: BaseAlgorithm, env: gym.Env | VecEnv | None, inputs: object = None) -> Subject:
    """An SB3 model, acting as its policy's `predict` sets it and learning as its `train` does."""
    # SB3 lets a policy be compiled; the one inside is examined.
    policy = unwrapped(model.policy)
    refuse(policy)
    root = view(policy)
    acting, updating = _copied(root, training=False), _copied(root, training=True)
    observations, no_data = observations_of(model, _copied(root, training=False), env, inputs)
    seen = trace.watch(duplicate(acting), lambda network: _pass(network, observations))
    return Subject(
        what=f"{type(model).__name__} with {type(policy).__name__}",
        root=root,
        acting=acting,
        updating=updating,
        actors=_actors(root),
        acts=True,
        pairs=tuple((name[:-7], name) for name, _ in policy.named_children() if name.endswith("_target")),
        trace=seen,
        rows=count(observations),
        run=partial(_run, observations, torch.empty(0) if seen.error else _actions(duplicate(acting), observations)),
        no_data=no_data,
        algorithm=model,
    )


def _copied(policy: nn.Module, training: bool) -> BasePolicy:
    new = duplicate(policy)
    assert isinstance(new, BasePolicy)
    new.set_training_mode(training)
    return new


def _actors(policy: nn.Module) -> tuple[str, ...]:
    """Paths of the networks that act: all of a policy that is not made of the networks we know."""
    known = tuple(name for name, _ in policy.named_children() if name in ACTORS)
    return ("",) if hasattr(policy, "evaluate_actions") or not known else known


def _pass(policy: nn.Module, observations: Observations) -> list[Tensor]:
    """All networks of a policy over a batch of observations -> their outputs."""
    names = [name for name, _ in policy.named_children() if name.startswith(("critic", *ACTORS))]
    parts = names if _actors(policy) != ("",) else [""]
    actions = _actions(policy, observations)
    # An actor by itself draws its actions, so that its standard deviations take part.
    return [y for name in parts for y in _outputs(policy, name, observations, actions, deterministic=not name)]


def _run(
    observations: Observations, actions: Tensor, policy: nn.Module, keep: int, parts: Sequence[str]
) -> list[Tensor]:
    """Networks of a policy over the first `keep` observations, and actions for critics -> their outputs."""
    first = {key: x[:keep] for key, x in observations.items()}
    return [y for name in parts for y in _outputs(policy, name, first, actions[:keep], deterministic=True)]


def _outputs(
    policy: nn.Module, name: str, observations: Observations, actions: Tensor, deterministic: bool
) -> list[Tensor]:
    """One network of a policy; the path "" is all of it."""
    assert isinstance(policy, BasePolicy)
    obs, _ = policy.obs_to_tensor(unpacked(observations))
    network = policy.get_submodule(name)
    args: list[Any] = [obs, actions] if name.startswith("critic") else [obs]
    if hasattr(network, "lstm_hidden_state_shape"):
        args += _at_start(network, len(actions))
    chosen = {"deterministic": deterministic} if _draws_actions(network) else {}
    return list(tensors(network(*args, **chosen)))


def _draws_actions(network: nn.Module) -> bool:
    """Whether a network draws its actions unless it is told not to; a class may pass that on in **kwargs."""
    passes = (vars(each)["forward"] for each in type(network).__mro__ if "forward" in vars(each))
    return any("deterministic" in inspect.signature(each).parameters for each in passes)


def _at_start(policy: Any, rows: int) -> tuple[Any, Tensor]:
    """The states of a recurrent policy, and the marks of an episode's start, for `rows` episodes that begin."""
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    layers, _, width = policy.lstm_hidden_state_shape
    zeros = torch.zeros(layers, rows, width, device=policy.device)
    return RNNStates((zeros, zeros), (zeros, zeros)), torch.ones(rows, device=policy.device)


def _actions(policy: nn.Module, observations: Observations) -> Tensor:
    """Actions for the critics, (n, ...); zeros for a policy whose critic takes none."""
    assert isinstance(policy, BasePolicy)
    if hasattr(policy, "evaluate_actions"):
        return torch.zeros(count(observations))
    obs, _ = policy.obs_to_tensor(unpacked(observations))
    return policy._predict(obs, deterministic=True).detach().float()


def updates_targets_itself(model: BaseAlgorithm) -> bool:
    """Whether the class updates its targets by code of its own, which is not known here."""
    return any(
        not getattr(type(model), name).__module__.startswith(LIBRARIES)
        for name in ("train", "_on_step")
        if hasattr(model, name)
    )


def captured(model: BaseAlgorithm) -> dict[int, int]:
    """State that SB3 copies to targets beside the parameters: storage of an online tensor -> storage of its target."""
    lists = vars(model)
    names = [name for name in lists if name.endswith("batch_norm_stats")]
    pairs = [pair for name in names for pair in zip(lists[name], lists[f"{name}_target"])]
    return {online.data_ptr(): target.data_ptr() for online, target in pairs}


def single_row(model: BaseAlgorithm) -> str:
    """How a minibatch of one comes about; empty where none does. Raises Unmade for an unknown kind of algorithm."""
    size = getattr(model, "batch_size", None)
    if isinstance(model, OffPolicyAlgorithm):
        return "batch_size=1" if size == 1 else ""
    if not isinstance(model, OnPolicyAlgorithm):
        raise Unmade(f"it is not known how {type(model).__name__} divides its data into minibatches")
    steps = model.n_steps * model.n_envs
    if size is None:
        return "n_steps * n_envs = 1" if steps == 1 else ""
    if size == 1:
        return "batch_size=1"
    return f"n_steps * n_envs = {steps} leaves a last minibatch of 1 at batch_size={size}" if steps % size == 1 else ""
