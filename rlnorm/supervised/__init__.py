"""Supervised training of many seeds at once."""

from rlnorm.supervised.train import errors, train

__all__ = ["errors", "train"]
