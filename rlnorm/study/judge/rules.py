"""From scores to verdicts, by the rules fixed beforehand (`docs/evidence.md`).

Everything is judged as *benefit* of the treatment over the reference: oriented so that more is better, 0 is no effect
(1 for a ratio) and the margins are -m and +m (1/m and m for a ratio). With L, H the ends of its interval:

    question        supported                        refuted                       rests on "no effect"
    superior        95 %: L > +margin                95 %: H < +margin             where refuted
    not better      95 %: H < +margin                95 %: L > +margin             where supported
    equivalent      90 %: -margin < L, H < +margin   95 %: H < -margin or L > +margin    where supported
    non-inferior    90 %: L > -margin                95 %: H < -margin             where supported

and else *inconclusive*. A verdict that rests on "no effect" counts only where an effect could have shown: the reference
has headroom below and above, and a negative control is told apart. Otherwise, and with fewer than `FEWEST` runs in an
arm, the outcome is *insufficient*. Estimates are reported in natural orientation: treatment - reference, or the ratio.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from rlnorm import stats
from rlnorm.study.claim import FEWEST
from rlnorm.study.claim.question import Metric, Question
from rlnorm.study.judge.evidence import Arm, Benefit, Evidence, Zone, better, bounds, known
from rlnorm.study.judge.verdict import Answer, EffectDetails, Judgement, Outcome, Sample

# question: the answer that decides it, the outcome where that holds, the outcome that rests on "no effect"
DECIDED_BY: Mapping[str, tuple[str, Outcome, Outcome]] = {
    "superior": ("benefit_by_margin", "supported", "refuted"),
    "not better": ("benefit_by_margin", "refuted", "supported"),
    "equivalent": ("equivalence", "supported", "supported"),
    "non-inferior": ("non_inferiority", "supported", "supported"),
}
OPPOSITE: Mapping[str, Outcome] = {"supported": "refuted", "refuted": "supported"}
# scale: why enough runs may still give no estimate on it
UNDEFINED: Mapping[str, str] = {
    "ratio": "a ratio needs scores above 0 in every run",
    "spread": "a ratio of spreads needs scores that vary in both arms",
    "standardized": "a standardized effect needs scores that vary in both arms",
}


def judge(
    question: Question,
    samples: Mapping[str, Sample],
    metric: Metric,
    rng_seed: int = 0,
    second_metric: Metric | None = None,
) -> Judgement:
    """One question, answered from the arms' scores. Pure: the same scores in any order give the same answer.

    Diverged runs count; their scores are already those of a random policy from then on. An arm that `samples` lacks has
    no runs. Raises ConfigError for a margin without a meaning, ValueError for scores that are not finite or not (n,).
    """
    evidence = Evidence.of(question, samples, metric, rng_seed, second_metric)
    treatment, reference = evidence.treatment, evidence.reference
    benefit = evidence.benefit(treatment)
    answers = _answers(benefit[0.95], benefit[0.90], evidence.zone)
    outcome, why = _decide(evidence, benefit, answers)
    level = 0.95 if question.asks in ("superior", "not better") else 0.90
    shown = evidence.natural(benefit[level])
    flags = np.concatenate([treatment.diverged, reference.diverged])
    details = EffectDetails(
        asks=question.asks,
        margin=question.margin,
        scale="ratio" if question.is_factor else "difference",
        better=better(question, metric),
        method="newcombe" if evidence.proportions else stats.METHOD,
        arms={name: evidence.summary(Arm.of(name, sample, metric)) for name, sample in samples.items()},
        intervals={f"{100 * each:.0f}": bounds(evidence.natural(benefit[each])) for each in (0.95, 0.90)},
        answers=answers,
        probability_of_improvement=bounds(evidence.improvement()),
        negative_control=evidence.contrast(evidence.negative),
        positive_control=evidence.contrast(evidence.positive),
        divergence=evidence.divergence(),
    )
    return Judgement(
        outcome=outcome,
        reason=f"{_measured(evidence, shown, level)}: {why}.",
        details=details,
        estimate=known(shown.estimate),
        low=known(shown.low),
        high=known(shown.high),
        level=level,
        n=min(evidence.runs(treatment), evidence.runs(reference)),
        diverged=float(flags.mean()) if flags.size else None,
        relative_p=_relative_p(evidence, benefit, outcome),
    )


def overall(parts: Sequence[Judgement], rule: Literal["all", "any"], fair: Sequence[bool] | None = None) -> Outcome:
    """One outcome of a claim's parts.

    "all": refuted if any part is, supported if every part is. "any": supported if any is, refuted if every part is.
    Else insufficient if any part is (or there is none), else inconclusive.

    Where one part decides, any of them could have erred. So one counts only where the smallest p-value holds after
    Holm's correction over all parts that rest on chance and may decide by themselves (Holm 1979, Scand. J. Stat. 6:65).
    Parts that are not `fair` (None: all are) may not.
    """
    one, every = ("refuted", "supported") if rule == "all" else ("supported", "refuted")
    outcomes = [part.outcome for part in parts]
    able = [part for part, may in zip(parts, fair or [True] * len(parts), strict=True) if may]
    chances = sum(part.relative_p != 0 for part in able)
    if any(part.outcome == one and (part.relative_p or 0.0) * chances <= 1 for part in able):
        return one
    if not outcomes or "insufficient" in outcomes:
        return "insufficient"
    return every if set(outcomes) == {every} else "inconclusive"


def _decide(evidence: Evidence, benefit: Benefit, answers: Mapping[str, Answer]) -> tuple[Outcome, str]:
    """The outcome and the clause that gives its reason."""
    for arm in (evidence.treatment, evidence.reference):
        if (runs := evidence.runs(arm)) < FEWEST:
            pairs = " with a partner of the same seed" if evidence.question.paired else ""
            return "insufficient", f"{arm.name} has {runs} runs{pairs}, at least {FEWEST} are needed"
    if np.isnan(benefit[0.95].estimate):
        return "insufficient", UNDEFINED[evidence.question.scale]
    name, if_holds, rests_on_no_effect = DECIDED_BY[evidence.question.asks]
    answer = answers[name]
    words = f"{answer.words} (margin {evidence.question.margin:g})"
    if answer.holds is None:
        return "inconclusive", words
    outcome = if_holds if answer.holds else OPPOSITE[if_holds]
    # Where harm is plain, no benefit was missed.
    harmful = name == "benefit_by_margin" and answers["harm"].holds
    insensitive = evidence.insensitive_because() if outcome == rests_on_no_effect and not harmful else None
    return ("insufficient", insensitive) if insensitive else (outcome, words)


def _measured(evidence: Evidence, shown: stats.Interval, level: float) -> str:
    """What was measured: the first half of the reason."""
    treatment, reference, ratio = evidence.treatment, evidence.reference, evidence.is_ratio
    paired = evidence.question.paired and treatment.n and reference.n
    runs = f"{evidence.runs(treatment)} pairs" if paired else f"n = {treatment.n} and {reference.n}"
    quantity = _quantity(evidence)
    if np.isnan(shown.estimate):
        return f"{quantity} cannot be given ({runs})"
    interval = "" if np.isnan(shown.low) else f"{100 * level:.0f} % interval {shown.low:.3g} to {shown.high:.3g}, "
    return f"{quantity} is {shown.estimate:{'' if ratio else '+'}.3g} ({interval}{runs})"


def _quantity(evidence: Evidence) -> str:
    """What the estimate is of."""
    treatment, reference, unit = evidence.treatment.name, evidence.reference.name, evidence.metric.unit
    if evidence.second_metric is not None:
        return (
            f"benefit of {treatment} over {reference} in {unit}, less that in {evidence.second_metric.unit}, each in "
            "standard deviations,"
        )
    spread = "spread of " if evidence.question.scale == "spread" else ""
    return f"{spread}{unit}, {treatment} {'over' if evidence.is_ratio else 'minus'} {reference}"


def _relative_p(evidence: Evidence, benefit: Benefit, outcome: Outcome) -> float | None:
    """See `Judgement`: how far a decision's p-value lies below the level that it is taken at."""
    if outcome not in OPPOSITE:
        return None
    name, if_holds, _ = DECIDED_BY[evidence.question.asks]
    wanted = outcome == if_holds
    level = 0.90 if wanted and name != "benefit_by_margin" else 0.95
    return benefit.relative_p(lambda at: _answers(at, at, evidence.zone)[name].holds is wanted, level)


def _answers(at95: stats.Interval, at90: stats.Interval, zone: Zone) -> dict[str, Answer]:
    """Benefit, harm, equivalence and non-inferiority, each true, false or undecided, in words too."""
    least, nothing, most = zone

    def answer(holds: bool, fails: bool, yes: str, no: str) -> Answer:
        return Answer(holds, yes if holds else no) if holds or fails else Answer(None, f"undecided whether {yes}")

    same, differs = stats.equivalent(at90, least, most), at95.low > most or at95.high < least
    allowed, beyond = stats.non_inferior(at90, least), at95.high < least
    by = "by more than the margin"
    return {
        "benefit": answer(at95.low > nothing, at95.high < nothing, "better", "not better"),
        "benefit_by_margin": answer(at95.low > most, at95.high < most, f"better {by}", f"not better {by}"),
        "harm": answer(at95.high < nothing, at95.low > nothing, "worse", "not worse"),
        "harm_by_margin": answer(at95.high < least, at95.low > least, f"worse {by}", f"not worse {by}"),
        "equivalence": answer(same, differs, "the same within the margin", "not the same within the margin"),
        "non_inferiority": answer(allowed, beyond, "no worse than the margin allows", "worse than the margin allows"),
    }
