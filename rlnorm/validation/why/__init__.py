"""Why norms do what they do in DQN: the experiments of docs/results/why.md, and its tables."""

from rlnorm.validation.why.experiments import EXPERIMENTS
from rlnorm.validation.why.tables import TABLES, tables

__all__ = ["EXPERIMENTS", "TABLES", "tables"]
