"""What a claim declares, how its file is loaded, and how it is checked before anything runs.

A claim's file imports its words from here. The engines (`engines.py`), the checks (`validate.py`) and the metrics
(`metrics.py`) are imported from their own files: they need torch, and a declaration does not.
"""

from rlnorm.study.claim.cost import Cost, Work
from rlnorm.study.claim.declare import (
    FEWEST,
    FIRST_JUDGED,
    PRESETS,
    Claim,
    DQNEngine,
    Effect,
    Experiment,
    Kind,
    LogUniform,
    Part,
    Preset,
    Record,
    Settings,
    dqn_experiment,
    supervised_experiment,
)
from rlnorm.study.claim.exact import Exact
from rlnorm.study.claim.question import Metric, Question

__all__ = [
    "FEWEST",
    "FIRST_JUDGED",
    "PRESETS",
    "Claim",
    "Cost",
    "DQNEngine",
    "Effect",
    "Exact",
    "Experiment",
    "Kind",
    "LogUniform",
    "Metric",
    "Part",
    "Preset",
    "Question",
    "Record",
    "Settings",
    "Work",
    "dqn_experiment",
    "supervised_experiment",
]
