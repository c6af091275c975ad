"""The policies of algorithms with an actor and a critic: PPO and A2C, SAC, TD3 and DDPG.

On-policy (`ActorCriticPolicy`). The ratio of new to old action probabilities compares the policy with the one that
collected; both must normalize alike. So during an update every pass normalizes with the running statistics of the
collection, frozen, while each minibatch moves the running statistics themselves as it would in the mode `track`.
Whoever acts or is evaluated after the update has the moved ones. It costs a second pass without gradients per
minibatch, and the policy changes once per update by more than its clipped steps. With `frozen_statistics=False` updates
use the batch's statistics, as stable-baselines3 does by itself, and ratios do not start at 1.

Off-policy (`SACPolicy`, `TD3Policy`). Of the passes in `train()`

    critic on replayed actions                  use the batch's statistics and move the running ones
    actor on replayed observations              use the batch's statistics and move the running ones
    critic on the actor's actions (its loss)    use the running ones: the batch's would take off what all the actions
                                                have in common, and with it that part of the actor's gradient
    actor on next observations (SAC's target)   use the running ones: they are those of the policy that acts
    targets                                     use running ones, copied from the network they follow

as CrossQ does (Bhatt et al. 2024, arXiv:1902.05605) but for its joint batch. stable-baselines3 by itself uses the
batch's in the first four, and all four move the running ones.
"""

from typing import Any, ClassVar

import torch
from stable_baselines3.common.policies import ActorCriticPolicy as BareActorCriticPolicy
from stable_baselines3.common.policies import BaseModel, BasePolicy, ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac.policies import Actor as BareSACActor
from stable_baselines3.sac.policies import SACPolicy as BareSACPolicy
from stable_baselines3.td3.policies import Actor as BareTD3Actor
from stable_baselines3.td3.policies import TD3Policy as BareTD3Policy
from torch import Tensor

from rlnorm.networks import renew_wrapped
from rlnorm.sb3.passes import Held, copy_statistics, passing, standing_in
from rlnorm.sb3.policies import NormedPolicy


class ActorCriticPolicy(NormedPolicy, BareActorCriticPolicy):
    """stable-baselines3's `ActorCriticPolicy` with norms: parts `features`, `pi` and `vf`.

    frozen_statistics  whether updates normalize with the running statistics of the collection; see the module
    """

    parts: ClassVar[tuple[str, ...]] = ("features", "pi", "vf")
    _frozen: Held | None = None

    def __init__(self, *args: Any, frozen_statistics: bool = True, **kwargs: Any):
        self.frozen_statistics = frozen_statistics
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        for part, name in (("pi", "policy_net"), ("vf", "value_net")):
            layers = getattr(self.mlp_extractor, name)
            setattr(self.mlp_extractor, name, self.normed(part, layers, len(layers)))

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        # The orthogonal initialization has drawn weights anew.
        renew_wrapped(self)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"frozen_statistics": self.frozen_statistics}

    def set_training_mode(self, mode: bool) -> None:
        """As in stable-baselines3; an update starts with True, and freezes the statistics that it uses."""
        super().set_training_mode(mode)
        self._frozen = copy_statistics(self) if mode and self.frozen_statistics else None

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """As in stable-baselines3, with the frozen statistics; moves the running ones."""
        if not self._frozen:
            return super().evaluate_actions(obs, actions)
        with passing(self, "eval"), standing_in(self._frozen):
            evaluated = super().evaluate_actions(obs, actions)
        with passing(self, "track"), torch.no_grad():
            features = self.extract_features(obs)
            pi, vf = features if isinstance(features, tuple) else (features, features)
            self.mlp_extractor.forward_actor(pi)
            self.mlp_extractor.forward_critic(vf)
        return evaluated


class SACActor(BareSACActor):
    """SAC's actor."""

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As in stable-baselines3; without gradients, for the target, with the running statistics."""
        with passing(self, "eval", when=not torch.is_grad_enabled()):
            return super().get_action_dist_params(obs)


class Critic(ContinuousCritic):
    """The critics of SAC and TD3."""

    def forward(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """As in stable-baselines3; on actions with gradients, the actor's, with the running statistics."""
        with passing(self, "eval", when=actions.requires_grad):
            return super().forward(obs, actions)

    def q1_forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """As in stable-baselines3, for TD3's actor alone: with the running statistics."""
        with passing(self, "eval"):
            return super().q1_forward(obs, actions)


class ActorAndCritic(NormedPolicy):
    """Base of policies that make an actor and critics."""

    parts: ClassVar[tuple[str, ...]] = ("features", "pi", "qf")
    followed: ClassVar[tuple[str, ...]] = ("critic",)
    actor_class: ClassVar[type[BasePolicy]]
    critic_class: ClassVar[type[BaseModel]] = Critic
    actor_layers: ClassVar[str] = "latent_pi"
    actor_kwargs: dict[str, Any]
    critic_kwargs: dict[str, Any]

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """An actor with norms on its hidden layers."""
        actor = self.actor_class(**self._update_features_extractor(self.actor_kwargs, features_extractor))
        layers = self.normed("pi", getattr(actor, self.actor_layers), len(self.actor_kwargs["net_arch"]))
        setattr(actor, self.actor_layers, layers)
        return actor.to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Critics with norms on their hidden layers."""
        critic: Any = self.critic_class(**self._update_features_extractor(self.critic_kwargs, features_extractor))
        for i, layers in enumerate(critic.q_networks):
            critic.q_networks[i] = self.normed("qf", layers, len(self.critic_kwargs["net_arch"]))
            setattr(critic, f"qf{i}", critic.q_networks[i])
        return critic.to(self.device)


class SACPolicy(ActorAndCritic, BareSACPolicy):
    """stable-baselines3's `SACPolicy` with norms: parts `features`, `pi` and `qf`."""

    actor_class = SACActor


class TD3Policy(ActorAndCritic, BareTD3Policy):
    """stable-baselines3's `TD3Policy` (DDPG's too) with norms: parts `features`, `pi` and `qf`."""

    followed = ("actor", "critic")
    actor_class = BareTD3Actor
    actor_layers = "mu"
