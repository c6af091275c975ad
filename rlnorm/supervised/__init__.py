"""Supervised training of many networks at once; `train` yields records, `Settings` documents what can be set.

Members of a population may differ in seed, learning rate and every setting that does not change shapes, so that a whole
grid trains as one.
"""

from rlnorm.supervised.settings import Settings
from rlnorm.supervised.train import train

__all__ = ["Settings", "train"]
