"""Estimates in units of the margin, and which way an effect went: what forest plots and sentences are made from."""

import math
from typing import Literal

from rlnorm.study.judge.verdict import EffectDetails, Verdict
from rlnorm.study.report.wording import Scale, finite

Direction = Literal["better", "worse", "same", "open"]
Uselessness = Literal["harmful", "same", "no benefit"]
Figures = tuple[float | None, float | None, float | None]


def in_margins(value: float | None, margin: float | None, scale: Scale) -> float | None:
    """A figure in units of the margin: difference / margin, or log(ratio) / log(margin)."""
    x, size = finite(value), finite(margin)
    if x is None or size is None:
        return None
    if scale == "ratio":
        return math.log(x) / math.log(size) if x > 0 and size > 1 else None
    return x / size if size > 0 else None


def figures(verdict: Verdict, scale: Scale) -> Figures:
    """Estimate and interval in units of the margin, turned so that more is better for the treatment."""
    judged = verdict.judgement
    return _turned(verdict, *(in_margins(x, verdict.margin, scale) for x in (judged.estimate, judged.low, judged.high)))


def direction(verdict: Verdict, scale: Scale) -> Direction | None:
    """Where the interval lies: clear of the margin on a side, inside it, or neither; None where there is none."""
    if verdict.margin == 0:
        judged = verdict.judgement
        _, low, high = _turned(verdict, finite(judged.estimate), finite(judged.low), finite(judged.high))
        size = 0.0
    else:
        _, low, high = figures(verdict, scale)
        size = 1.0
    if low is None or high is None:
        return None
    if low > size:
        return "better"
    if high < -size:
        return "worse"
    return "same" if -size <= low and high <= size else "open"


def uselessness(verdict: Verdict) -> Uselessness | None:
    """Which of three answers it is that a treatment is not better (rule 4); None where that was not asked or not found.

    Where the arms are the same to within the margin, harm that is seen besides is too small to matter.
    """
    details = verdict.judgement.details
    if not isinstance(details, EffectDetails) or (details.asks, verdict.outcome) != ("not better", "supported"):
        return None
    if details.answers["equivalence"].holds:
        return "same"
    return "harmful" if details.answers["harm"].holds else "no benefit"


def _turned(verdict: Verdict, estimate: float | None, low: float | None, high: float | None) -> Figures:
    details = verdict.judgement.details
    if isinstance(details, EffectDetails) and details.better == "lower":
        return minus(estimate), minus(high), minus(low)
    return estimate, low, high


def minus(value: float | None) -> float | None:
    """-value; None where there is none."""
    return None if value is None else -value
