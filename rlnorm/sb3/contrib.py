"""The policies of sb3-contrib's algorithms, where it is installed.

Passes of TQC are those of SAC; passes of MaskablePPO and RecurrentPPO are those of PPO (`rlnorm.sb3.actor_critic`). A
recurrent policy has norms in its feed-forward parts, the extractor and the layers behind the LSTM. Rows that pad
sequences to one length do not enter the running statistics.
"""

from typing import Any, ClassVar

from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rlnorm.sb3.actor_critic import ActorAndCritic, NormedActor, NormedCritic, OnPolicy
from rlnorm.sb3.policies import NormedNetwork, NormedPolicy

try:
    from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy as BareMaskableActorCriticPolicy
    from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy as BareRecurrentActorCriticPolicy
    from sb3_contrib.qrdqn.policies import QRDQNPolicy as BareQRDQNPolicy
    from sb3_contrib.qrdqn.policies import QuantileNetwork as BareQuantileNetwork
    from sb3_contrib.tqc.policies import Actor as BareTQCActor
    from sb3_contrib.tqc.policies import Critic as BareTQCCritic
    from sb3_contrib.tqc.policies import TQCPolicy as BareTQCPolicy
except ModuleNotFoundError as error:
    raise ImportError(
        "rlnorm.sb3's policies for QRDQN, TQC, MaskablePPO and RecurrentPPO need sb3-contrib: "
        "pip install 'rlnorm[contrib]'"
    ) from error


class QuantileNetwork(NormedNetwork, BareQuantileNetwork):
    """QR-DQN's network."""

    stacks = ("quantile_net",)


class QRDQNPolicy(NormedPolicy, BareQRDQNPolicy):
    """sb3-contrib's `QRDQNPolicy` with norms: parts `features` and `qf`, the quantile network."""

    followed: ClassVar[tuple[str, ...]] = ("quantile_net",)

    def make_quantile_net(self) -> QuantileNetwork:
        """A quantile network with norms on its hidden layers."""
        return self.make_network(QuantileNetwork, "qf", self.net_args)


class TQCActor(NormedActor, BareTQCActor):
    """TQC's actor."""


class TQCCritic(NormedCritic, BareTQCCritic):
    """TQC's critics."""

    def forward(self, obs: PyTorchObs, action: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As in sb3-contrib."""
        return super().forward(obs, action)


class TQCPolicy(ActorAndCritic, BareTQCPolicy):
    """sb3-contrib's `TQCPolicy` with norms: parts `features`, `pi` and `qf`."""

    actor_class = TQCActor
    critic_class = TQCCritic


class MaskableActorCriticPolicy(OnPolicy, BareMaskableActorCriticPolicy):
    """sb3-contrib's `MaskableActorCriticPolicy` (MaskablePPO) with norms: parts `features`, `pi` and `vf`."""


class RecurrentActorCriticPolicy(OnPolicy, BareRecurrentActorCriticPolicy):
    """sb3-contrib's `RecurrentActorCriticPolicy` (RecurrentPPO) with norms: parts `features`, `pi` and `vf`.

    `pi` and `vf` are the layers behind the LSTMs.
    """

    def _get_constructor_parameters(self) -> dict[str, Any]:
        # sb3-contrib leaves these out: its own policies of another size cannot be loaded alone.
        return super()._get_constructor_parameters() | {
            "lstm_hidden_size": self.lstm_actor.hidden_size,
            "n_lstm_layers": self.lstm_actor.num_layers,
            "shared_lstm": self.shared_lstm,
            "enable_critic_lstm": self.enable_critic_lstm,
            "lstm_kwargs": self.lstm_kwargs,
        }
