r"""How many runs an arm a question needs, from the spread of scores that are known already.

With e the true benefit, m the margin and se(n) the standard error of the estimate with n runs an arm, the question is
decided in favour of what was assumed with the probability

    better by the margin        P(L > m)               1 - T(t_.975 - (e - m) / se)
    not better by the margin    P(H < m)               1 - T(t_.975 - (m - e) / se)
    the same to the margin      P(-m < L, H < m)       max(0, 1 - T(t_.95 - (m - e) / se) - T(t_.95 - (m + e) / se))
    no worse than the margin    P(L > -m)              1 - T(t_.95 - (e + m) / se)

T is Student's distribution with Satterthwaite's degrees of freedom and t its quantile (the shifted t in place of the
noncentral one; Chow, Shao & Wang 2008, Sample Size Calculations in Clinical Research, ch. 3). Ratios are taken on the
log scale. Controls and headroom must hold besides.

Where one of K parts decides a claim alone (rule 8), its level is divided by K: t_.975 becomes the quantile at
1 - .025 / K, and t_.95 the one at 1 - .05 / K.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import special

from rlnorm.study.claim import FEWEST
from rlnorm.study.claim.question import Metric, Question
from rlnorm.study.judge.evidence import Evidence
from rlnorm.study.judge.rules import DECIDED_BY, OPPOSITE
from rlnorm.study.judge.verdict import Outcome, Sample

MOST = 10_000
"""Runs an arm beyond which nobody goes."""


class Spread(NamedTuple):
    """The standard error of an estimate from `runs` runs an arm, and its degrees of freedom."""

    error: float
    df: float
    runs: int


def spread(question: Question, samples: Mapping[str, Sample], metric: Metric) -> Spread:
    """How much the estimate varies, by scores that are known. Raises ValueError where they are too few to say."""
    evidence = Evidence.of(question, samples, metric, seed=0)
    found = evidence.estimate(evidence.treatment)
    runs = min(evidence.runs(evidence.treatment), evidence.runs(evidence.reference))
    if found is None or runs < 2:
        raise ValueError(f"the spread of scores is not known: {runs} runs of an arm, and at least 2 are needed")
    return Spread(float(found.se), float(found.df), runs)


def expected(question: Question, effect: float) -> Outcome:
    """What is decided where the true benefit is `effect` (a factor or not) and the runs are enough."""
    e, m = _on_scale(question, effect)
    name, if_holds, _ = DECIDED_BY[question.asks]
    holds = {"benefit_by_margin": e > m, "equivalence": abs(e) <= m, "non_inferiority": e > -m}[name]
    return if_holds if holds else OPPOSITE[if_holds]


def power(question: Question, known: Spread, runs: int, effect: float, parts: int = 1) -> float:
    """Probability that so many runs an arm decide the question, where the true benefit is `effect` (a factor or not).

    Where the effect reaches the margin, what is decided is that the treatment is better, else that it is not. `parts`:
    how many there are of which this one shall decide a claim alone; 1: the part itself shall be decided.
    """
    se = known.error * (known.runs / runs) ** 0.5
    df = known.df * (runs - 1) / (known.runs - 1)
    e, m = _on_scale(question, effect)
    strict, lenient = special.stdtrit(df, 1 - 0.025 / parts), special.stdtrit(df, 1 - 0.05 / parts)

    def reached(distance: float, quantile: float) -> float:
        return 1 - float(special.stdtr(df, quantile - distance / se)) if se > 0 else float(distance > 0)

    if question.asks == "equivalent":
        if abs(e) > m:
            return reached(abs(e) - m, strict)
        return max(0.0, reached(m - e, lenient) + reached(m + e, lenient) - 1)
    if question.asks == "non-inferior":
        return reached(e + m, lenient) if e > -m else reached(-m - e, strict)
    return reached(abs(e - m), strict)


def _on_scale(question: Question, effect: float) -> tuple[float, float]:
    """The effect and the margin, factors as logarithms."""
    on_scale = np.log if question.is_factor else float
    return float(on_scale(effect)), float(on_scale(question.margin))


def runs_needed(question: Question, known: Spread, effect: float, wanted: float = 0.8, parts: int = 1) -> int | None:
    """The fewest runs an arm that decide the question with probability `wanted`; None beyond `MOST`.

    parts  as in `power`
    """
    low, high = FEWEST, MOST
    if power(question, known, high, effect, parts) < wanted:
        return None
    while low < high:
        middle = (low + high) // 2
        if power(question, known, middle, effect, parts) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low
