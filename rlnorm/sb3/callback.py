"""Writes probes of normalization into stable-baselines3's own log."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor, nn
from torch.optim import Optimizer

from rlnorm.errors import ConfigError
from rlnorm.probes import NETWORK, Moments, State, overestimation, plain, probe


class _Probed(NamedTuple):
    """A network that learns, its target if there is one, and its inputs: the first of (observations, actions)."""

    network: nn.Module
    target: nn.Module | None
    inputs: int = 1


class _Watched(NamedTuple):
    """A batch, and the states of networks and targets before the updates that are watched."""

    inputs: tuple[Any, ...]
    states: dict[str, State]
    targets: dict[str, State | None]


class NormCallback(BaseCallback):
    """Writes the probes of `rlnorm.probes` under `norm/<network>.<layer>/<probe>`, every `every` environment steps.

    Networks have their names in the policy (`q_net`, `quantile_net`, `actor`, `critic`); a policy of PPO, A2C, TRPO or
    MaskablePPO is one network, `policy`. The batch has the algorithm's batch size (A2C: the rollout) and comes from the
    replay or the rollout. If a call of `train` makes one update, it is the batch of that update. Probes read the
    networks from before the updates. Gradients are those of the last minibatch, after clipping. Effective rates are
    those of one call of `train`, however many updates it makes, or of several calls if one does not update every
    network. Overestimation is that of the value where the last training episodes began, after the updates. It is left
    out if a value holds more than rewards (SAC, TQC: entropy).

    Values appear with stable-baselines3's next dump of its log, in all formats except the terminal and plain text.
    Learning is the same as without the callback, to the bit. Raises ConfigError before learning if `every` is below 1
    or the policy is of another kind.
    """

    def __init__(self, every: int = 1000):
        super().__init__()
        if every < 1:
            raise ConfigError(f"every must be at least 1, got {every}.")
        self.every = every
        self._next = 0  # step at which the next probe is due
        self._watched: _Watched | None = None
        self._hooks: list[Any] = []
        self._gradients: dict[int, Tensor] = {}
        self._waiting: set[Optimizer] = set()
        self._earlier: dict[str, dict[str, Moments]] = {}

    def _init_callback(self) -> None:
        self._networks = dict(_networks(self.model.policy))
        if not self._networks:
            raise ConfigError(
                "NormCallback knows policies with q_net, quantile_net, actor and critic, or mlp_extractor and no LSTM, "
                f"got {type(self.model.policy).__name__}."
            )
        self._optimizers = [
            o for m in self.model.policy.modules() if isinstance(o := vars(m).get("optimizer"), Optimizer)
        ]
        self._value, self._discount = _value(self.model), float(vars(self.model)["gamma"])

    def _on_training_start(self) -> None:
        self._next, self._earlier, count = self.num_timesteps, {}, self.training_env.num_envs
        self._return, self._weight = [0.0] * count, [1.0] * count
        self._began = [_row(self.model._last_obs, i) for i in range(count)]
        self._ended: list[tuple[Any, float] | None] = [None] * count

    def _on_step(self) -> bool:
        # Called at every step: for a few environments numbers are faster than arrays.
        rewards, dones = self.locals["rewards"].tolist(), self.locals["dones"].tolist()
        for i, (reward, done) in enumerate(zip(rewards, dones)):
            self._return[i] += self._weight[i] * reward
            self._weight[i] *= self._discount
            if done:
                self._ended[i] = self._began[i], self._return[i]
                self._began[i], self._return[i], self._weight[i] = _row(self.locals["new_obs"], i), 0.0, 1.0
        return True

    def _on_rollout_end(self) -> None:
        """Start to watch before updates."""
        if self.num_timesteps < self._next or self._watched is not None:
            return
        batch = self._batch()
        if batch is None:
            return
        states = {name: State.of(each.network).copy() for name, each in self._networks.items()}
        targets = {
            n: None if each.target is None else State.of(each.target).copy() for n, each in self._networks.items()
        }
        self._watched, self._gradients, self._waiting = _Watched(batch, states, targets), {}, set(self._optimizers)
        self._hooks = [o.register_step_pre_hook(self._keep_gradients) for o in self._optimizers]

    def _on_rollout_start(self) -> None:
        """Write what updates have done."""
        # TD3 updates its actor less often than its critics: wait until all have been.
        if self._watched is None or self._waiting:
            return
        watched = self._watched
        self._end_watch()
        self._next = self.num_timesteps + self.every
        for name, each in self._networks.items():
            found = probe(
                each.network,
                watched.states[name],
                *watched.inputs[: each.inputs],
                target=watched.targets[name],
                gradients={
                    key: self._gradients[id(p)]
                    for key, p in each.network.named_parameters()
                    if id(p) in self._gradients
                },
                after=State.of(each.network).parameters,
                earlier=self._earlier.get(name),
            )
            self._earlier[name] = found.inputs
            for layer, probes in plain(found.values).items():
                for key, value in probes.items():
                    self._write(name if layer == NETWORK else f"{name}.{layer}", key, value)
        self._write_overestimation()

    def _on_training_end(self) -> None:
        self._end_watch()

    def _end_watch(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._watched, self._hooks = None, []

    def _keep_gradients(self, optimizer: Optimizer, *_: object) -> None:
        self._waiting.discard(optimizer)
        for group in optimizer.param_groups:
            self._gradients |= {id(p): p.grad.clone() for p in group["params"] if p.grad is not None}

    def _write(self, layer: str, name: str, value: float) -> None:
        self.logger.record(f"norm/{layer}/{name}", value, exclude=("stdout", "log"))

    @torch.no_grad()
    def _write_overestimation(self) -> None:
        ended = [each for each in self._ended if each is not None]
        if self._value is None or len(ended) < len(self._ended):
            return
        observations, _ = self.model.policy.obs_to_tensor(_stack([began for began, _ in ended]))
        value = self._value(observations)
        returns = torch.tensor([brought for _, brought in ended], device=value.device)
        self._write(next(iter(self._networks)), "overestimation", overestimation(value, returns).item())

    def _batch(self) -> tuple[Any, ...] | None:
        """(observations, actions) from the replay or (observations,) from the rollout; None before learning starts."""
        model = self.model
        if isinstance(model, OffPolicyAlgorithm):
            if self.num_timesteps <= model.learning_starts or model.replay_buffer is None:
                return None
            # The buffer draws from numpy's global stream, as the update will.
            before = np.random.get_state()  # noqa: NPY002
            sample = model.replay_buffer.sample(model.batch_size, env=model._vec_normalize_env)
            np.random.set_state(before)  # noqa: NPY002
            return sample.observations, sample.actions
        assert isinstance(model, OnPolicyAlgorithm)
        count = model.n_steps * model.n_envs
        every = max(count // getattr(model, "batch_size", count), 1)
        held: Any = model.rollout_buffer.observations
        return (_each(held, lambda x: model.rollout_buffer.to_torch(x.reshape(count, *x.shape[2:])[::every])),)


class _Through(nn.Module):
    """The modules of a policy under their own names; `run` is their forward pass."""

    def __init__(self, policy: nn.Module, run: Callable[[Any], Tensor]):
        super().__init__()
        for name, module in policy.named_children():
            self.add_module(name, module)
        self._pass = run

    def forward(self, observations: Any) -> Tensor:
        """Observations -> outputs (B, .)."""
        return self._pass(observations)


def _networks(policy: Any) -> Iterator[tuple[str, _Probed]]:
    """The networks that learn, by name; none for an unknown kind of policy."""
    for name in ("q_net", "quantile_net"):
        if hasattr(policy, name):
            yield name, _Probed(getattr(policy, name), getattr(policy, f"{name}_target"))
    if hasattr(policy, "actor") and hasattr(policy, "critic"):
        actor = policy.actor
        # An actor that draws its actions is probed at the mean, so that the pass is as in training without gradients.
        drawn = hasattr(actor, "latent_pi")
        target = getattr(policy, "actor_target", None)
        yield "actor", _Probed(_Through(actor, lambda o: _mean_action(actor, o)) if drawn else actor, target)
        yield "critic", _Probed(policy.critic, getattr(policy, "critic_target", None), inputs=2)
    if hasattr(policy, "mlp_extractor") and not hasattr(policy, "lstm_actor"):
        yield "policy", _Probed(_Through(policy, lambda o: _actions_and_value(policy, o)), None)


def _mean_action(actor: Any, observations: Any) -> Tensor:
    return actor.mu(actor.latent_pi(actor.extract_features(observations, actor.features_extractor)))


def _actions_and_value(policy: Any, observations: Any) -> Tensor:
    features = policy.extract_features(observations)
    pi, vf = features if isinstance(features, tuple) else (features, features)
    latents = policy.mlp_extractor.forward_actor(pi), policy.mlp_extractor.forward_critic(vf)
    return torch.cat([policy.action_net(latents[0]), policy.value_net(latents[1])], 1)


def _value(model: Any) -> Callable[[Any], Tensor] | None:
    """Value of observations (B,) under the learned policy; None if it is not a sum of rewards alone."""
    policy = model.policy
    if hasattr(policy, "q_net"):
        return lambda observations: policy.q_net(observations).amax(1)
    if hasattr(policy, "quantile_net"):
        return lambda observations: policy.quantile_net(observations).mean(1).amax(1)
    if hasattr(policy, "mlp_extractor"):
        return lambda observations: policy.predict_values(observations).flatten()
    if hasattr(model, "ent_coef"):
        return None
    return lambda observations: torch.cat(policy.critic(observations, policy.actor(observations)), 1).amin(1)


def _each(observations: Any, change: Callable[[np.ndarray], Any]) -> Any:
    """`change` of an array, or of each in a dict."""
    if isinstance(observations, dict):
        return {key: change(value) for key, value in observations.items()}
    return change(observations)


def _row(observations: Any, i: int) -> Any:
    return _each(observations, lambda x: x[i].copy())


def _stack(rows: list[Any]) -> Any:
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)
