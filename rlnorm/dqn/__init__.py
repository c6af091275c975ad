"""DQN for many seeds at once."""

from rlnorm.dqn.saved import load
from rlnorm.dqn.train import errors, train

__all__ = ["errors", "load", "train"]
