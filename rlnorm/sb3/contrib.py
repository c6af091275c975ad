"""The policies of sb3-contrib's QR-DQN and TQC, where it is installed; the modes of their passes are SAC's."""

from typing import ClassVar

import torch
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rlnorm.sb3.actor_critic import ActorAndCritic
from rlnorm.sb3.passes import passing
from rlnorm.sb3.policies import NormedPolicy

try:
    from sb3_contrib.qrdqn.policies import QRDQNPolicy as BareQRDQNPolicy
    from sb3_contrib.qrdqn.policies import QuantileNetwork
    from sb3_contrib.tqc.policies import Actor as BareTQCActor
    from sb3_contrib.tqc.policies import Critic as BareTQCCritic
    from sb3_contrib.tqc.policies import TQCPolicy as BareTQCPolicy
except ModuleNotFoundError as error:
    raise ImportError(
        "rlnorm.sb3's QRDQNPolicy and TQCPolicy need sb3-contrib: pip install 'rlnorm[contrib]'"
    ) from error


class QRDQNPolicy(NormedPolicy, BareQRDQNPolicy):
    """sb3-contrib's `QRDQNPolicy` with norms: parts `features` and `qf`, the quantile network."""

    followed: ClassVar[tuple[str, ...]] = ("quantile_net",)

    def make_quantile_net(self) -> QuantileNetwork:
        """A quantile network with norms on its hidden layers."""
        network = super().make_quantile_net()
        network.quantile_net = self.normed("qf", network.quantile_net, len(network.net_arch))
        return network.to(self.device)


class TQCActor(BareTQCActor):
    """TQC's actor."""

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As in sb3-contrib; without gradients, for the target, with the running statistics."""
        with passing(self, "eval", when=not torch.is_grad_enabled()):
            return super().get_action_dist_params(obs)


class TQCCritic(BareTQCCritic):
    """TQC's critics."""

    def forward(self, obs: PyTorchObs, action: Tensor) -> Tensor:
        """As in sb3-contrib; on actions with gradients, the actor's, with the running statistics."""
        with passing(self, "eval", when=action.requires_grad):
            return super().forward(obs, action)


class TQCPolicy(ActorAndCritic, BareTQCPolicy):
    """sb3-contrib's `TQCPolicy` with norms: parts `features`, `pi` and `qf`."""

    actor_class = TQCActor
    critic_class = TQCCritic
