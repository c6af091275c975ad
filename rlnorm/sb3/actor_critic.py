"""The policies of algorithms with an actor and a critic: PPO, A2C and TRPO; SAC, TD3 and DDPG.

On-policy (`OnPolicy`). The ratio of new to old action probabilities compares the policy with the one that collected;
both must normalize alike. So passes of an update normalize with the running statistics of the collection, frozen. The
running statistics themselves are moved by a second pass, in the mode `track`, over the same rows. That pass is made for
passes with gradients alone: TRPO's line search moves nothing, and TRPO moves the actor's statistics once per update.
A norm of torch's in a user's own extractor moves in each pass, as in stable-baselines3: a warning says so for TRPO.
The second pass has no gradients; modules other than norms are in eval mode in it, so that they see a minibatch once.
After the update the policy acts with the moved statistics. It changes once per update by more than its clipped steps.
With `frozen_statistics=False` updates use the batch's statistics, as stable-baselines3 does by itself, and ratios do
not start at 1.

Off-policy (`SACPolicy`, `TD3Policy`). Of the passes in `train()`

    critic on replayed actions                  use the batch's statistics and move the running ones
    actor on replayed observations              use the batch's statistics and move the running ones
    critic on the actor's actions (its loss)    use the running ones: the batch's would take off what all the actions
                                                have in common, and with it that part of the actor's gradient
    actor on next observations (SAC's target)   use the running ones: they are those of the policy that acts
    targets                                     use running ones, copied from the network they follow

as CrossQ does (Bhatt et al. 2024, arXiv:1902.05605) but for its joint batch. stable-baselines3 by itself uses the
batch's in the first four, and all four move the running ones.

Passes outside of updates use the running statistics in all policies, also after `learn` (`rlnorm.sb3.passes.Updated`).
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import torch
from stable_baselines3.common.policies import ActorCriticPolicy as BareActorCriticPolicy
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac.policies import Actor as BareSACActor
from stable_baselines3.sac.policies import SACPolicy as BareSACPolicy
from stable_baselines3.td3.policies import Actor as BareTD3Actor
from stable_baselines3.td3.policies import TD3Policy as BareTD3Policy
from torch import Tensor

from rlnorm.networks import renew_wrapped
from rlnorm.nn import Moded
from rlnorm.nn.state import describe, running_norms
from rlnorm.sb3.passes import Held, copy_statistics, counting, passing, standing_in, tracking, update
from rlnorm.sb3.policies import NormedNetwork, NormedPolicy, maker_of

T = TypeVar("T")


class OnPolicy(NormedPolicy):
    """Base of on-policy policies, to stand before stable-baselines3's or sb3-contrib's class of the same name.

    frozen_statistics  whether updates normalize with the running statistics of the collection; see the module
    """

    parts: ClassVar[tuple[str, ...]] = ("features", "pi", "vf")
    mlp_extractor: MlpExtractor
    _frozen: Held | None = None

    def __init__(self, *args: Any, frozen_statistics: bool = True, **kwargs: Any):
        self.frozen_statistics = frozen_statistics
        super().__init__(*args, **kwargs)
        if frozen_statistics and hasattr(maker_of(self), "line_search_max_iter"):
            for sentence in _moved_by_line_search(self):
                warnings.warn(sentence, stacklevel=2)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()  # pyright: ignore[reportAttributeAccessIssue]
        for part, layers in (("pi", self.mlp_extractor.policy_net), ("vf", self.mlp_extractor.value_net)):
            self.stands[part] |= len(layers) > 0
            self.settings[part].insert(layers, len(layers))

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)  # pyright: ignore[reportAttributeAccessIssue]
        # The orthogonal initialization has drawn weights anew.
        renew_wrapped(self)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"frozen_statistics": self.frozen_statistics}

    def set_training_mode(self, mode: bool) -> None:
        """As in stable-baselines3; an update starts with True, and freezes the statistics that it uses."""
        super().set_training_mode(mode)
        self._frozen = copy_statistics(self) if mode and self.frozen_statistics else None

    def _pass(self, run: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`run`, with the frozen statistics in an update and with the running ones after it."""
        if self.after_update:
            with passing(self, "eval"):
                return run(*args, **kwargs)
        with counting(self, _marked() if self.training else None):
            if not self._frozen:
                return run(*args, **kwargs)
            if torch.is_grad_enabled():
                with torch.no_grad(), tracking(self):
                    run(*args, **kwargs)
            with passing(self, "eval"), standing_in(self._frozen):
                return run(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Actions, values and log probabilities, as in stable-baselines3."""
        return self._pass(super().forward, *args, **kwargs)

    def evaluate_actions(self, *args: Any, **kwargs: Any) -> Any:
        """Values, log probabilities and entropies, as in stable-baselines3."""
        return self._pass(super().evaluate_actions, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    def get_distribution(self, *args: Any, **kwargs: Any) -> Any:
        """The distribution of actions, as in stable-baselines3."""
        return self._pass(super().get_distribution, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    def predict_values(self, *args: Any, **kwargs: Any) -> Any:
        """Values, as in stable-baselines3."""
        return self._pass(super().predict_values, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


def _moved_by_line_search(policy: OnPolicy) -> Iterator[str]:
    """A sentence for each norm of torch's that TRPO's line search passes through: the critic's it does not."""
    for path, norm in running_norms(policy):
        if not isinstance(norm, Moded) and not path.startswith("vf_"):
            yield (
                f"TRPO's line search moves the running statistics of {describe(path, norm)}, as with "
                f"stable-baselines3's own policy; those of rlnorm.nn's {type(norm).__name__} it would not move."
            )


def _marked() -> Tensor | None:
    """The rows (B,) of an update's minibatch that pad no sequence, where RecurrentPPO marks them."""
    mask = getattr((update() or {}).get("rollout_data"), "mask", None)
    return None if mask is None else mask > 0


class ActorCriticPolicy(OnPolicy, BareActorCriticPolicy):
    """stable-baselines3's `ActorCriticPolicy` (PPO, A2C, TRPO) with norms: parts `features`, `pi` and `vf`."""


class NormedActor(NormedNetwork):
    """Base of actors that draw their actions."""

    stacks = ("latent_pi",)

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As in stable-baselines3; without gradients, for the target, with the running statistics."""
        with self.running(when=not torch.is_grad_enabled()):
            return super().get_action_dist_params(obs)  # pyright: ignore[reportAttributeAccessIssue]


class NormedCritic(NormedNetwork):
    """Base of critics of (observations, actions)."""

    stacks = ("qf",)

    def forward(self, obs: PyTorchObs, actions: Tensor) -> Any:
        """As in stable-baselines3; on actions with gradients, the actor's, with the running statistics."""
        with self.running(when=actions.requires_grad):
            return super().forward(obs, actions)


class SACActor(NormedActor, BareSACActor):
    """SAC's actor."""


class TD3Actor(NormedNetwork, BareTD3Actor):
    """TD3's actor."""

    stacks = ("mu",)


class Critic(NormedCritic, ContinuousCritic):
    """The critics of SAC and TD3."""

    def q1_forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """As in stable-baselines3, for TD3's actor alone: with the running statistics."""
        with self.running(when=True):
            return super().q1_forward(obs, actions)


class ActorAndCritic(NormedPolicy):
    """Base of policies that make an actor and critics."""

    parts: ClassVar[tuple[str, ...]] = ("features", "pi", "qf")
    followed: ClassVar[tuple[str, ...]] = ("critic",)
    actor_class: ClassVar[type[NormedNetwork]]
    critic_class: ClassVar[type[NormedNetwork]] = Critic
    actor_kwargs: dict[str, Any]
    critic_kwargs: dict[str, Any]

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """An actor with norms on its hidden layers."""
        return self.make_network(self.actor_class, "pi", self.actor_kwargs, features_extractor)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Critics with norms on their hidden layers."""
        return self.make_network(self.critic_class, "qf", self.critic_kwargs, features_extractor)


class SACPolicy(ActorAndCritic, BareSACPolicy):
    """stable-baselines3's `SACPolicy` with norms: parts `features`, `pi` and `qf`."""

    actor_class = SACActor


class TD3Policy(ActorAndCritic, BareTD3Policy):
    """stable-baselines3's `TD3Policy` (DDPG's too) with norms: parts `features`, `pi` and `qf`."""

    followed = ("actor", "critic")
    actor_class = TD3Actor
