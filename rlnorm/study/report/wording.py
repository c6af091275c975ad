"""Figures and verdicts in words: one wording for the terminal, the report and TensorBoard."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal, get_args

import numpy as np

from rlnorm.study.claim import Claim, Cost, Effect, Exact, Experiment, LogUniform, Part, Question
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import summary_metric
from rlnorm.study.judge.results import ArmResult, ClaimResult, PartResult, StudyResult
from rlnorm.study.judge.verdict import ExactDetails, Outcome, OverallDetails, Verdict
from rlnorm.study.report.language import t
from rlnorm.study.run.progress import clock_time

Scale = Literal["difference", "ratio", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
NOTHING = "–"

MEANINGS: Mapping[Outcome, str] = {
    "supported": "the evidence fits the claim and rules out its contrary",
    "refuted": "the evidence rules the claim out",
    "inconclusive": "the interval leaves both open; only added seeds, judged by themselves, may decide it",
    "insufficient": "too few runs, or an effect could not have shown here",
}

HOW_TO_READ = (
    "Estimate: mean of the treatment's runs minus mean of the reference's; where marked ×, their ratio.",
    "Interval: 95 % where better or not is asked, 90 % for equivalence and non-inferiority.",
    "Margin: the smallest difference that matters, fixed before the first run; the interval must clear it.",
    "The margin of a ratio holds both ways: ×1.25 stands for ×0.8 (1/1.25) too.",
    "Parts marked (beside) are judged and shown, and do not count for the overall verdict.",
    "Exact parts are algebra: their estimate is the largest error of all cases, their margin the tolerance.",
)

QUESTIONS: Mapping[str, str] = {
    "superior": "Is “{a}” better than “{b}”, by more than {size}?",
    "not better": "Is “{a}” not better than “{b}” by {size}?",
    "equivalent": "Are “{a}” and “{b}” the same to within {size}?",
    "non-inferior": "Is “{a}” no worse than “{b}” by {size}?",
}

SPREAD_QUESTIONS: Mapping[str, str] = {
    "superior": "Is the spread of “{a}” smaller than the spread of “{b}”, by {size}?",
    "not better": "Is the spread of “{a}” no smaller than the spread of “{b}”, by {size}?",
    "equivalent": "Is the spread of “{a}” the same as the spread of “{b}”, by {size}?",
    "non-inferior": "Is the spread of “{a}” no larger than the spread of “{b}”, by {size}?",
}

EFFECT_QUESTIONS: Mapping[str, str] = {
    "superior": "Is the benefit of “{a}” over “{b}” in the first score larger than in the second, by {size} standard "
    "deviations?",
    "not better": "Is the benefit of “{a}” over “{b}” in the first score no larger than in the second, by {size} "
    "standard deviations?",
    "equivalent": "Is the benefit of “{a}” over “{b}” in the first score the same as in the second, by {size} standard "
    "deviations?",
    "non-inferior": "Is the benefit of “{a}” over “{b}” in the first score no smaller than in the second, by {size} "
    "standard deviations?",
}

CURVES: Mapping[str, str] = {
    "return": "Return",
    "loss": "Loss",
    "q": "Mean Q",
    "epsilon": "Epsilon",
    "test_accuracy": "Test accuracy",
}


def rule(claim: Claim) -> str:
    """How a claim's overall verdict follows from its parts, and which parts count where not all do."""
    others = [name for name, part in claim.parts.items() if not part.decisive]
    said = {
        ("all", False): t("supported if every part is, refuted if any part is"),
        ("any", False): t("supported if any part is, refuted if every part is"),
        ("all", True): t("supported if every part that counts is, refuted if any part that counts is"),
        ("any", True): t("supported if any part that counts is, refuted if every part that counts is"),
    }[claim.overall, bool(others)]
    if not others:
        return said
    if len(others) < len(claim.decisive):
        return f"{said}; {t('these do not count')}: {'; '.join(others)}"
    return f"{said}; {t('these count')}: {'; '.join(claim.decisive)}"


def beside(claim: Claim, part: str) -> str:
    """A mark for a part that does not count for the overall verdict."""
    return "" if claim.parts[part].decisive else f" ({t('beside')})"


def groups(overall: Verdict) -> Mapping[str, Outcome]:
    """The outcome of each group of a claim's parts."""
    details = overall.judgement.details
    return details.groups if isinstance(details, OverallDetails) else {}


def has_groups(result: ClaimResult) -> bool:
    """Whether some of a claim's parts share a verdict of their own: the overall row's reason names it."""
    found = groups(result.overall)
    return bool(found) and len(found) < len(result.parts)


def metric(name: str) -> str:
    """What a score is, in words, and which way is better."""
    base, _, summary = name.partition(", ")
    scored = METRICS.get(base)
    if scored is None:
        return name.replace("_", " ")
    shown = summary_metric(scored.metric, summary or "mean")
    better = t("higher is better") if shown.better == "higher" else t("lower is better")
    return f"{shown.unit} ({better})"


def points(part: Effect) -> str:
    """How a run's score is made of its scores at several points."""
    values = {name: [point[name] for point in part.points] for name in part.points[0]}
    # Draws are from the same range at every point.
    listed = "; ".join(f"{name} {setting(list(dict.fromkeys(at)))}" for name, at in values.items())
    count, summary = len(part.points), t(part.summary)
    return t("a run's score is the {summary} over {count} points", summary=summary, count=count) + f": {listed}"


def control(question: Question, arm: str) -> str:
    """What is known of an arm beforehand; empty of arms that are asked about."""
    known = {question.negative_control: t("known to be worse"), question.positive_control: t("known to be better")}
    return known.get(arm, "")


def budget(experiment: Experiment) -> str:
    """What the steps of an experiment count."""
    if experiment.engine == "supervised":
        return t(str(experiment.settings.get("budget", "updates")))
    return t("environment steps")


def half_trained(study: StudyResult) -> str:
    """The warning that goes with short presets; empty where nothing was trained, or all of it in full."""
    parts = [part for claim in study.claims for part in claim.parts if part.kind == "effect"]
    short = sorted({part.verdict.preset for part in parts if part.verdict.preset} - {"full"})
    if not short:
        return ""
    which = ", ".join(repr(preset) for preset in short)
    return t("Preview: preset {which} is half trained; only 'full' gives verdicts.", which=which)


def scale_of(part: Part | None) -> Scale:
    """What a part's estimate is: a difference, a ratio, or (exact parts) an error held against a tolerance."""
    if isinstance(part, Exact):
        return "error"
    return "ratio" if isinstance(part, Effect | Cost) and part.question.is_factor else "difference"


def overall_scale(result: ClaimResult) -> Scale:
    """The scale that all parts share; "difference" where they differ (the overall row then holds no figure)."""
    scales: set[Scale] = {scale_of(part) for part in result.claim.parts.values()}
    return scales.pop() if len(scales) == 1 else "difference"


def finite(value: object) -> float | None:
    """`value` as a float, or None where it is no finite number."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def number(value: object, *, signed: bool = False) -> str:
    """Three digits, short: 0.123, 12.3, 1.2e-09; a dash where there is no number."""
    x = finite(value)
    if x is None:
        return NOTHING
    sign = "+" if signed else ""
    if x == 0:
        return "0"
    if not 1e-3 <= abs(x) < 1e5:
        return f"{x:{sign}.1e}"
    decimals = next((d for d, end in ((3, 1), (2, 10), (1, 100)) if abs(x) < end), 0)
    return f"{x:{sign}.{decimals}f}"


def estimate(verdict: Verdict, scale: Scale) -> str:
    """The estimate in the manner of its scale: +0.123, ×1.23, 1.2e-12."""
    return _scaled(verdict.judgement.estimate, scale)


def interval(verdict: Verdict, scale: Scale) -> str:
    """Both ends in brackets; for exact parts the number of cases; a dash where there is none."""
    judged = verdict.judgement
    if scale == "error":
        return t("worst of {cases}", cases=judged.n) if judged.n else NOTHING
    if finite(judged.low) is None and finite(judged.high) is None:
        return NOTHING
    return f"[{_scaled(judged.low, scale)}, {_scaled(judged.high, scale)}]"


def margin(verdict: Verdict, scale: Scale) -> str:
    """The margin (difference: 0.05, ratio: ×1.25) or, for exact parts, the tolerance."""
    x = finite(verdict.margin)
    return NOTHING if x is None else f"×{x:g}" if scale == "ratio" else f"{x:g}"


def counterexample(verdict: Verdict) -> list[tuple[str, str]]:
    """The numbers of the smallest counterexample, by name; empty where there is none."""
    details = verdict.judgement.details
    found = details.counterexample if isinstance(details, ExactDetails) else None
    return [(str(name), json.dumps(value)) for name, value in (found or {}).items()]


def seeds(verdict: Verdict, scale: Scale) -> str:
    """Runs per arm, or repetitions of a cost part; a dash for exact parts, whose cases are no runs."""
    n = verdict.judgement.n
    return NOTHING if n is None or scale == "error" else str(n)


def percent(value: object) -> str:
    """A proportion as a percentage."""
    x = finite(value)
    return NOTHING if x is None else f"{100 * x:.3g} %"


def setting(value: object) -> str:
    """A setting as it is shown: short numbers, lists without brackets, a dash for None."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, LogUniform):
        return t("drawn by the seed from {low} to {high}", low=f"{value.low:g}", high=f"{value.high:g}")
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or NOTHING
    return str(value)


def sentence(reason: str) -> str:
    """A reason with a capital to begin with."""
    return reason[:1].upper() + reason[1:]


def duration(seconds: float | None) -> str:
    """Seconds as people say them; empty where unknown."""
    return "" if seconds is None or not math.isfinite(seconds) else clock_time(seconds)


def moment(iso: str) -> str:
    """An ISO 8601 time to the minute; as it stands where it is none."""
    try:
        found = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{found:%Y-%m-%d %H:%M} {found.tzname() or ''}".rstrip()


def commits(computed: Iterable[str], judged: str | None) -> str:
    """Which commits computed the rows that are shown, each once, and which made of them what is shown."""
    return f"rows computed at commit {', '.join(sorted(set(computed))) or 'unknown'}, judged at {judged or 'unknown'}"


def level(question: Question) -> str:
    """The interval's level by rule 4 of the rules of evidence."""
    return "90 %" if question.asks in ("equivalent", "non-inferior") else "95 %"


def asked(question: Question) -> str:
    """The question to the arms as a sentence."""
    figure = f"{question.margin:g}"
    size = t("a factor of {figure}", figure=figure) if question.is_factor else figure
    text = {"spread": SPREAD_QUESTIONS, "standardized": EFFECT_QUESTIONS}.get(question.scale, QUESTIONS)[question.asks]
    return t(text, a=question.treatment, b=question.reference, size=size)


def tally(study: StudyResult) -> dict[Outcome, int]:
    """How many claims came to each outcome, every outcome named."""
    found = [claim.overall.outcome for claim in study.claims]
    return {outcome: found.count(outcome) for outcome in OUTCOMES}


def arms_of(study: StudyResult) -> Iterator[tuple[ClaimResult, PartResult, ArmResult]]:
    """Every arm of a study with the part and claim it belongs to."""
    for claim in study.claims:
        for part in claim.parts:
            for arm in part.arms.values():
                yield claim, part, arm


def _scaled(value: object, scale: Scale) -> str:
    text = number(value, signed=scale == "difference")
    return f"×{text}" if scale == "ratio" and text != NOTHING else text
