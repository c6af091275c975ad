"""From scores to verdicts, by the rules fixed beforehand (`docs/evidence.md`).

Everything is judged as *benefit* of the treatment over the reference: oriented so that more is better, 0 is no effect
(1 for a ratio) and the margins are -m and +m (1/m and m for a ratio). With L, H the ends of its interval:

    question        supported                        refuted                       rests on "no effect"
    superior        95 %: L > +margin                95 %: H < +margin             where refuted
    not better      95 %: H < +margin                95 %: L > +margin             where supported
    equivalent      90 %: -margin < L, H < +margin   95 %: H < -margin or L > +margin    where supported
    non-inferior    90 %: L > -margin                95 %: H < -margin             where supported

and else *inconclusive*. A verdict that rests on "no effect" counts only where an effect could have shown: the reference
has room below and above, and a planted worse arm is told apart. Otherwise, and with fewer than `FEWEST` runs in an arm,
the outcome is *insufficient*. Estimates are reported in natural orientation: treatment - reference, or their ratio.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rlnorm import stats
from rlnorm.errors import ConfigError

Outcome = Literal["supported", "refuted", "inconclusive", "insufficient"]
FEWEST = 8
ROOM = (0.25, 0.9)
"""Where the reference must stand for "no effect" to mean something: 0 = random, 1 = reachable."""


@dataclass(frozen=True)
class Metric:
    """What a score is.

    better     which way is better
    unit       words for a reader, such as "test accuracy"
    random     the score of a random policy or of guessing; reachable: the best that can be had. With either None there
               is no rule of floor and ceiling
    share      each run scores 0 or 1 and the mean is a share: differences get Newcombe's interval for two shares
    """

    name: str
    better: Literal["higher", "lower"]
    unit: str
    random: float | None = None
    reachable: float | None = None
    share: bool = False

    def standing(self, score: float) -> float | None:
        """The score on the scale 0 = random, 1 = reachable; None where no such scale is known."""
        if self.random is None or self.reachable is None:
            return None
        return (score - self.random) / (self.reachable - self.random)


@dataclass(frozen=True)
class Question:
    """What is asked of two arms: is treatment better than / not better than / equivalent / not inferior to reference?

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
class Divergence:
    """Shares of diverged runs; treatment's minus reference's, with its 95 % interval. None where an arm has no runs."""

    treatment: float | None = None
    reference: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judgement:
    """The answer to one question. `None` where there were too few runs to say.

    estimate, low, high  treatment - reference (or treatment / reference), the interval at `level`
    n                    runs of the smaller of the two judged arms
    diverged             share of diverged runs over both judged arms; `divergence` holds the arms apart
    reason               one sentence for a reader
    details              JSON-able: arms, intervals, parts (each holds: true, false or null = undecided, and words), ...
    """

    outcome: Outcome
    estimate: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    diverged: float | None
    reason: str
    details: Mapping[str, Any]
    divergence: Divergence


@dataclass(frozen=True)
class Verdict:
    """One row of the table of verdicts. None where a field has no meaning; `part` is "overall" for the claim's own."""

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


def judge(question: Question, samples: Mapping[str, Sample], metric: Metric, rng_seed: int = 0) -> Judgement:
    """One question, answered from the arms' scores. Pure: the same scores in any order give the same answer.

    Diverged runs count; their scores are already those of a random policy from then on. An arm that `samples` lacks has
    no runs. Raises ConfigError for a margin that makes no sense, ValueError for scores that are not finite or not (n,).
    """
    arms = {name: _arm(name, sample, metric) for name, sample in samples.items()}
    treatment, reference = (arms.get(name) or _Arm(name) for name in (question.treatment, question.reference))
    planted = None if question.planted is None else arms.get(question.planted) or _Arm(question.planted)
    case = _Case(question, metric, rng_seed, _zone(question), treatment, reference, planted)
    benefit = case.benefit(treatment)
    parts = _parts(benefit, case.zone)
    outcome, why = case.decide(benefit, parts)
    level = 0.95 if question.asks in ("superior", "not better") else 0.90
    shown = case.natural(benefit[level])
    diverged = _divergence(treatment, reference)
    flags = np.concatenate([treatment.diverged, reference.diverged])
    details = {
        "asks": question.asks,
        "margin": question.margin,
        "scale": question.scale,
        "better": metric.better,
        "method": "newcombe" if case.shares else stats.METHOD,
        "arms": {name: case.described(arm) for name, arm in arms.items()},
        "intervals": {f"{100 * each:.0f}": _listed(case.natural(found)) for each, found in benefit.items()},
        "parts": parts,
        "probability_of_improvement": _listed(case.improvement()),
        "planted": None if planted is None else case.contrast(planted),
        "diverged": dict(vars(diverged)),
    }
    return Judgement(
        outcome=outcome,
        estimate=_known(shown.estimate),
        low=_known(shown.low),
        high=_known(shown.high),
        level=level,
        n=min(treatment.n, reference.n),
        diverged=float(flags.mean()) if flags.size else None,
        reason=f"{case.found(shown, level)}: {why}.",
        details=details,
        divergence=diverged,
    )


def overall(outcomes: Sequence[Outcome], rule: Literal["all", "any"]) -> Outcome:
    """One outcome of a claim's parts.

    "all": refuted if any part is, supported if every part is. "any": supported if any is, refuted if every part is.
    Else insufficient if any part is (or there is none), else inconclusive.
    """
    one, every = ("refuted", "supported") if rule == "all" else ("supported", "refuted")
    if one in outcomes:
        return one
    if not outcomes or "insufficient" in outcomes:
        return "insufficient"
    return every if set(outcomes) == {every} else "inconclusive"


# question: the part that answers it, the outcome where that part holds, the outcome that rests on "no effect"
ANSWERS: Mapping[str, tuple[str, Outcome, Outcome]] = {
    "superior": ("benefit_by_margin", "supported", "refuted"),
    "not better": ("benefit_by_margin", "refuted", "supported"),
    "equivalent": ("equivalence", "supported", "supported"),
    "non-inferior": ("non_inferiority", "supported", "supported"),
}
OPPOSITE: Mapping[str, Outcome] = {"supported": "refuted", "refuted": "supported"}
NOTHING = stats.Interval(np.nan, np.nan, np.nan)
Benefit = Mapping[float, stats.Interval]
Zone = tuple[float, float, float]


@dataclass(frozen=True)
class _Arm:
    name: str
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    diverged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def n(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class _Case:
    """A question with its evidence. Scores are turned in `benefit`, results turned back in `natural`, nowhere else."""

    question: Question
    metric: Metric
    seed: int
    zone: Zone
    treatment: _Arm
    reference: _Arm
    planted: _Arm | None

    @property
    def is_ratio(self) -> bool:
        return self.question.scale == "ratio"

    @property
    def shares(self) -> bool:
        return self.metric.share and not self.is_ratio

    def best_first(self, arm: _Arm) -> tuple[_Arm, _Arm]:
        """The arm and the reference, first the one that scores higher if the arm is the better one."""
        return (arm, self.reference) if self.metric.better == "higher" else (self.reference, arm)

    def benefit(self, arm: _Arm) -> Benefit:
        """level -> how much better than the reference the arm is, at 95 and 90 %; NaN where it cannot be said."""
        levels, (high, low) = (0.95, 0.90), self.best_first(arm)
        if not (high.n and low.n) or (self.is_ratio and min(high.scores[0], low.scores[0]) <= 0):
            return dict.fromkeys(levels, NOTHING)
        if self.shares:
            counts = int(high.scores.sum()), high.n, int(low.scores.sum()), low.n
            return {level: stats.share_difference(*counts, level) for level in levels}
        rng = np.random.default_rng(self.seed)
        if self.is_ratio:
            found = stats.ratio(high.scores, low.scores, rng)
        else:
            sign = 1 if self.metric.better == "higher" else -1
            found = stats.difference(np.sort(sign * arm.scores), np.sort(sign * self.reference.scores), rng)
        return {level: stats.Interval(float(found.value), *map(float, found.interval(level))) for level in levels}

    def natural(self, benefit: stats.Interval) -> stats.Interval:
        """A benefit as treatment - reference, or treatment / reference."""
        if self.metric.better == "higher":
            return benefit
        if self.is_ratio:
            return stats.Interval(1 / benefit.estimate, 1 / benefit.high, 1 / benefit.low)
        return stats.Interval(-benefit.estimate, -benefit.high, -benefit.low)

    def improvement(self) -> stats.Interval:
        """P(a run of the treatment is better than one of the reference)."""
        high, low = self.best_first(self.treatment)
        return stats.probability_of_improvement(high.scores, low.scores) if high.n and low.n else NOTHING

    def told_apart(self, planted: _Arm) -> bool:
        """Whether the planted arm is seen to be worse than the reference, with no more runs than the treatment has."""
        return FEWEST <= planted.n <= self.treatment.n and bool(self.benefit(planted)[0.95].high < self.zone[1])

    def contrast(self, planted: _Arm) -> dict[str, object]:
        interval = _listed(self.natural(self.benefit(planted)[0.95]))
        return {"arm": planted.name, "n": planted.n, "interval": interval, "told_apart": self.told_apart(planted)}

    def decide(self, benefit: Benefit, parts: Mapping[str, Mapping[str, object]]) -> tuple[Outcome, str]:
        """The outcome and the clause that gives its reason."""
        for arm in (self.treatment, self.reference):
            if arm.n < FEWEST:
                return "insufficient", f"{arm.name} has {arm.n} runs, at least {FEWEST} are needed"
        if np.isnan(benefit[0.95].estimate):
            return "insufficient", "a ratio needs scores above 0 in every run"
        name, if_holds, rests_on_no_effect = ANSWERS[self.question.asks]
        holds, words = parts[name]["holds"], f"{parts[name]['words']} (margin {self.question.margin:g})"
        if holds is None:
            return "inconclusive", words
        outcome = if_holds if holds else OPPOSITE[if_holds]
        blind = self.blind() if outcome == rests_on_no_effect else None
        return ("insufficient", blind) if blind else (outcome, words)

    def blind(self) -> str | None:
        """Why an effect could not have shown; None where it could."""
        name, planted = self.reference.name, self.planted
        standing = self.metric.standing(float(self.reference.scores.mean()))
        if standing is not None and standing < ROOM[0]:
            return (
                f"floor, {name} stands at {standing:.2f} of what is reachable and {ROOM[0]} is needed to see an effect"
            )
        if standing is not None and standing > ROOM[1]:
            return f"ceiling, {name} stands at {standing:.2f} of what is reachable, above {ROOM[1]}, and has no room"
        if planted is None or self.told_apart(planted):
            return None
        runs = f"{planted.n} runs where {FEWEST} to {self.treatment.n} are needed"
        seen = runs if not FEWEST <= planted.n <= self.treatment.n else f"not seen to be worse than {name}"
        return f"planted arm not told apart, {planted.name}: {seen}"

    def found(self, shown: stats.Interval, level: float) -> str:
        """What was measured: the first half of the reason."""
        treatment, reference = self.treatment, self.reference
        joined = f"{self.metric.unit}, {treatment.name} {'over' if self.is_ratio else 'minus'} {reference.name}"
        runs = f"n = {treatment.n} and {reference.n}"
        if np.isnan(shown.estimate):
            return f"{joined} cannot be given ({runs})"
        interval = "" if np.isnan(shown.low) else f"{100 * level:.0f} % interval {shown.low:.3g} to {shown.high:.3g}, "
        return f"{joined} is {shown.estimate:{'' if self.is_ratio else '+'}.3g} ({interval}{runs})"

    def described(self, arm: _Arm) -> dict[str, object]:
        if arm.n == 0:
            return {"n": 0}
        if self.metric.share:
            found = stats.wilson(int(arm.scores.sum()), arm.n)
        else:
            mean = stats.mean(arm.scores, np.random.default_rng(self.seed))
            found = stats.Interval(float(mean.value), *map(float, mean.interval(0.95)))
        return {
            "n": arm.n,
            "mean": found.estimate,
            "low": _known(found.low),
            "high": _known(found.high),
            "iqm": stats.iqm(arm.scores),
            "standing": self.metric.standing(found.estimate),
            "diverged": float(arm.diverged.mean()),
        }


def _arm(name: str, sample: Sample, metric: Metric) -> _Arm:
    scores, diverged = np.asarray(sample.scores, dtype=float), np.asarray(sample.diverged, dtype=bool)
    if scores.ndim != 1 or scores.shape != diverged.shape:
        raise ValueError(f"arm {name!r}: scores and diverged must both be (n,), got {scores.shape}, {diverged.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"arm {name!r}: scores must be finite; a diverged run scores as random from then on")
    if metric.share and not np.isin(scores, (0, 1)).all():
        raise ValueError(f"arm {name!r}: {metric.name} is a share, so each run scores 0 or 1, got {scores}")
    # sorted, so that the order of the seeds has no say in which runs a resample draws
    return _Arm(name, np.sort(scores), diverged)


def _zone(question: Question) -> Zone:
    """(least, nothing, most): the worse margin, no effect and the better margin, as benefits."""
    margin = question.margin
    if question.scale == "ratio":
        if margin < 1:
            raise ConfigError(f"the margin of a ratio is a factor of at least 1 (1.25: a quarter more), got {margin:g}")
        return 1 / margin, 1.0, margin
    if margin < 0:
        raise ConfigError(f"the margin of a difference is at least 0, got {margin:g}")
    return -margin, 0.0, margin


def _parts(benefit: Benefit, zone: Zone) -> dict[str, dict[str, object]]:
    """Benefit, harm, equivalence and non-inferiority, each true, false or undecided (None), in words too."""
    at95, at90 = benefit[0.95], benefit[0.90]
    least, nothing, most = zone

    def part(holds: bool, fails: bool, yes: str, no: str) -> dict[str, object]:
        if holds or fails:
            return {"holds": holds, "words": yes if holds else no}
        return {"holds": None, "words": f"undecided whether {yes}"}

    same, differs = stats.equivalent(at90, least, most), at95.low > most or at95.high < least
    allowed, beyond = stats.non_inferior(at90, least), at95.high < least
    by = "by more than the margin"
    return {
        "benefit": part(at95.low > nothing, at95.high < nothing, "better", "not better"),
        "benefit_by_margin": part(at95.low > most, at95.high < most, f"better {by}", f"not better {by}"),
        "harm": part(at95.high < nothing, at95.low > nothing, "worse", "not worse"),
        "harm_by_margin": part(at95.high < least, at95.low > least, f"worse {by}", f"not worse {by}"),
        "equivalence": part(same, differs, "the same within the margin", "not the same within the margin"),
        "non_inferiority": part(allowed, beyond, "no worse than the margin allows", "worse than the margin allows"),
    }


def _divergence(treatment: _Arm, reference: _Arm) -> Divergence:
    of_treatment, of_reference = (float(arm.diverged.mean()) if arm.n else None for arm in (treatment, reference))
    if of_treatment is None or of_reference is None:
        return Divergence(of_treatment, of_reference)
    counts = int(treatment.diverged.sum()), treatment.n, int(reference.diverged.sum()), reference.n
    return Divergence(of_treatment, of_reference, *stats.share_difference(*counts))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _listed(interval: stats.Interval) -> dict[str, float | None]:
    return {name: _known(value) for name, value in interval._asdict().items()}
