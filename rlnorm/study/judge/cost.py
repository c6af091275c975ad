"""Judges a cost part from its records."""

from collections.abc import Iterable

import numpy as np

from rlnorm.study.claim import Cost, Record
from rlnorm.study.claim.cost import SECONDS
from rlnorm.study.judge.rules import judge as judge_question
from rlnorm.study.judge.verdict import Judgement, Sample


def judge(part: Cost, records: Iterable[Record]) -> Judgement:
    """The answer to the part's question, with the repetitions in place of runs, from the records alone."""
    rows = [record["seconds"] for record in records]
    samples = {
        name: Sample(np.array([row[name] for row in rows]), np.zeros(len(rows), dtype=bool)) for name in part.arms
    }
    return judge_question(part.question, samples, SECONDS)
