"""The policy of DQN."""

from typing import ClassVar

from stable_baselines3.dqn.policies import DQNPolicy as BareDQNPolicy
from stable_baselines3.dqn.policies import QNetwork

from rlnorm.sb3.policies import NormedPolicy


class DQNPolicy(NormedPolicy, BareDQNPolicy):
    """stable-baselines3's `DQNPolicy` with norms: parts `features` and `qf`, the Q-network."""

    followed: ClassVar[tuple[str, ...]] = ("q_net",)

    def make_q_net(self) -> QNetwork:
        """A Q-network with norms on its hidden layers."""
        network = super().make_q_net()
        network.q_net = self.normed("qf", network.q_net, len(network.net_arch))
        return network.to(self.device)
