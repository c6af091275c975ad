"""The policy of DQN."""

from typing import ClassVar

from stable_baselines3.dqn.policies import DQNPolicy as BareDQNPolicy
from stable_baselines3.dqn.policies import QNetwork as BareQNetwork

from rlnorm.sb3.policies import NormedNetwork, NormedPolicy


class QNetwork(NormedNetwork, BareQNetwork):
    """DQN's network."""

    stacks = ("q_net",)


class DQNPolicy(NormedPolicy, BareDQNPolicy):
    """stable-baselines3's `DQNPolicy` with norms: parts `features` and `qf`, the Q-network."""

    followed: ClassVar[tuple[str, ...]] = ("q_net",)

    def make_q_net(self) -> QNetwork:
        """A Q-network with norms on its hidden layers."""
        return self.make_network(QNetwork, "qf", self.net_args)
