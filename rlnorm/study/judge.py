"""From scores to verdicts, by the rules fixed beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Outcome = Literal["supported", "refuted", "inconclusive", "insufficient"]


@dataclass(frozen=True)
class Question:
    """What is asked of two arms: is `treatment` better than / not better than / equivalent / not inferior to `reference`?

    margin   the smallest difference that matters, in units of the score (difference) or as a factor > 1 (ratio)
    planted  an arm known to be worse: where it cannot be told from the reference, "no effect" means nothing
    """

    asks: Literal["superior", "not better", "equivalent", "non-inferior"]
    treatment: str
    reference: str
    margin: float
    scale: Literal["difference", "ratio"] = "difference"
    planted: str | None = None


@dataclass(frozen=True)
class Sample:
    """One arm's evidence: a score per run, shape (n,), and which of those runs diverged, shape (n,) bool."""

    scores: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """One row of the table of verdicts. `None` where a field has no meaning; `part` is "overall" for the claim's own."""

    claim: str
    part: str
    verdict: Outcome
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    n: int | None = None
    diverged: float | None = None
    preset: str | None = None
    steps: int | None = None
    reason: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
