"""DQN for many seeds at once: `train` yields records, `Settings` declares what it takes, `load` reads a saved agent."""

from rlnorm.dqn.saved import load
from rlnorm.dqn.settings import Settings
from rlnorm.dqn.train import train

__all__ = ["Settings", "load", "train"]
