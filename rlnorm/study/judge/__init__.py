"""From rows to verdicts: scores of runs, the rules that were fixed beforehand, results as data."""

from rlnorm.study.judge.assess import assess
from rlnorm.study.judge.results import ArmResult, ClaimResult, Curve, PartResult, StudyResult
from rlnorm.study.judge.rules import judge, overall
from rlnorm.study.judge.verdict import Judgement, Outcome, Sample, Verdict

__all__ = [
    "ArmResult",
    "ClaimResult",
    "Curve",
    "Judgement",
    "Outcome",
    "PartResult",
    "Sample",
    "StudyResult",
    "Verdict",
    "assess",
    "judge",
    "overall",
]
