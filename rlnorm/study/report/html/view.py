"""From a study to what the page's template shows: strings, tables and drawings, nothing left to decide there."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rlnorm.study.claim import Cost, Effect, Part
from rlnorm.study.judge.results import ArmResult, ClaimResult, PartResult, StudyResult
from rlnorm.study.judge.verdict import Bounds, Divergence, EffectDetails, ExactDetails, Outcome, Verdict
from rlnorm.study.report import answers, confidence_bands, kept, margins, notes, wording
from rlnorm.study.report.html import forest, profiles
from rlnorm.study.report.html.data import Data
from rlnorm.study.report.language import t

ROLES = ("treatment", "reference", "negative control", "positive control")
"""What arms are for, as `Question.roles` names it."""


@dataclass(frozen=True)
class Row:
    """One verdict as strings, and its drawing. `full`: its name with its claim's; `beside`: it does not count."""

    name: str
    full: str
    anchor: str
    beside: str
    outcome: Outcome
    preview: bool
    word: str
    estimate: str
    interval: str
    margin: str
    runs: str
    diverged: str
    reason: str
    exact: bool
    drawing: Markup


@dataclass(frozen=True)
class ArmRow:
    """One arm of a part in figures."""

    name: str
    role: str
    rate: str
    seeds: int
    score: str
    interval: str
    iqm: str
    final: str
    second: str
    found: str
    first_success: str
    diverged: str
    missing: int


@dataclass(frozen=True)
class Settings:
    """`differs`: (setting, value per arm) rows; `common`: (setting, value) rows."""

    arms: tuple[str, ...]
    differs: tuple[tuple[str, tuple[str, ...]], ...]
    common: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PartView:
    """One part of a claim's section."""

    row: Row
    asked: str
    metric: str
    setup: str
    change: str
    made: str
    statement: str
    rationale: str
    arms: tuple[ArmRow, ...]
    has_final: bool
    second_metric: str
    has_finding: bool
    drawn: bool
    effects: tuple[tuple[str, str], ...]
    settings: Settings | None
    counterexample: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClaimView:
    """One claim: its line among the answers and its section. `effect`: how far it went, in margins."""

    id: str
    title: str
    kind: str
    statement: str
    source: str
    notes: tuple[str, ...]
    said: str
    answer: str
    kept: str
    literature: str
    rule: str
    overall: Row
    effect: float
    parts: tuple[PartView, ...]
    decisive: tuple[Row, ...]
    across: tuple[profiles.AcrossView, ...]
    seconds: str
    command: str


def claims(study: StudyResult, data: Data) -> tuple[ClaimView, ...]:
    """Every claim of the study, in its order; the figures of its parts are added to `data`."""
    axis = reach(study)
    return tuple(_claim(result, data, axis) for result in study.claims)


def reach(study: StudyResult) -> float:
    """How many margins the forest plot's axis shows to either side."""
    parts = ((claim, part) for claim in study.claims for part in claim.parts)
    return forest.reach_of((part.verdict, answers.scale_of(claim, part)) for claim, part in parts)


def grouped(views: tuple[ClaimView, ...]) -> list[tuple[str, str, list[ClaimView]]]:
    """(note, what it is about, its claims): each claim under the first note that makes it."""
    found = {name: [each for each in views if each.notes[:1] == (name,)] for name in notes.NOTES}
    rest = [each for each in views if not set(each.notes[:1]) & set(notes.NOTES)]
    listed = [(name, t(notes.NOTES[name]), members) for name, members in found.items() if members]
    return [*listed, *([("", t("Questions that no note asks"), rest)] if rest else [])]


def tally(views: tuple[ClaimView, ...]) -> list[tuple[str, str, int]]:
    """(verdict in words, its class, how many claims came to it); previews are counted together."""
    found: dict[str, int] = {}
    for each in views:
        key = "preview" if each.overall.preview else each.overall.outcome
        found[key] = found.get(key, 0) + 1
    names = {**{outcome: t(outcome) for outcome in wording.OUTCOMES}, "preview": t("previews")}
    return [(name, key, found[key]) for key, name in names.items() if key in found]


def asked(study: StudyResult) -> str:
    """What the study set out to answer, as one sentence."""
    count: dict[str, int] = {}
    for claim in study.claims:
        count[claim.claim.kind] = count.get(claim.claim.kind, 0) + 1
    how = {
        "effect": t("decided by training many seeds"),
        "exact": t("by algebra in float64"),
        "cost": t("by timing side by side"),
    }
    kinds = [f"{n} {how[kind]}" for kind, n in sorted(count.items())]
    n = len(study.claims)
    if not n:
        return t("No claims yet.")
    return (t("1 claim") if n == 1 else t("{count} claims", count=n)) + f": {', '.join(kinds)}."


def settings_of(arms: Mapping[str, ArmResult]) -> Settings | None:
    """Which settings differ between arms and which they share; None without arms.

    Whether a unit was compiled is left out: it follows from its length and the machine.
    """
    if not arms:
        return None
    names = dict.fromkeys(key for arm in arms.values() for key in arm.settings if key != "compile")
    table = {key: tuple(wording.setting(arm.settings.get(key)) for arm in arms.values()) for key in names}
    return Settings(
        arms=tuple(arms),
        differs=tuple((key, values) for key, values in table.items() if len(set(values)) > 1),
        common=tuple((key, values[0]) for key, values in table.items() if len(set(values)) == 1),
    )


def anchors(result: ClaimResult) -> dict[str, str]:
    """part -> an id of its own for links to it."""
    found = dict[str, str]()
    for i, part in enumerate(result.parts, 1):
        slug = re.sub(r"\W+", "-", part.name).strip("-")
        found[part.name] = f"{slugged(result.id)}.{i}-{slug}"
    return found


def slugged(name: str) -> str:
    """A name as an id without spaces or signs that a link would have to escape."""
    return re.sub(r"[^\w.-]+", "-", name)


def _claim(result: ClaimResult, data: Data, axis: float) -> ClaimView:
    claim, note, stands = result.claim, notes.of(result.id), kept.answers().get(result.id)
    own, preview, decider = anchors(result), answers.is_preview_of(result), answers.decider(result)
    parts = tuple(_part(result, part, data, own[part.name], axis) for part in result.parts)
    names = {part.name for part in answers.decisive(result)}
    size = margins.figures(decider.verdict, answers.scale_of(result, decider))[0] if decider else None
    return ClaimView(
        id=result.id,
        title=answers.title(result),
        kind=claim.kind,
        statement=claim.statement,
        source=claim.source,
        notes=claim.notes,
        said=note.said if note else "",
        answer=answers.sentence(result),
        kept=_kept(stands) if stands else "",
        literature=claim.literature,
        rule=wording.sentence(wording.rule(claim)) if len(result.parts) > 1 else "",
        overall=_row("overall", slugged(result.id), result.overall, "difference", axis, preview),
        effect=abs(size or 0.0),
        parts=parts,
        decisive=tuple(part.row for part in parts if part.row.name in names),
        across=tuple(profiles.views(result, slugged(result.id), data)),
        seconds=_seconds(result),
        command=result.command,
    )


def _kept(stands: kept.Kept) -> str:
    """The answer that is kept, where its page lies, and whether the claim has been declared anew since."""
    said = f"{t(stands.outcome)} (docs/results/{stands.page})"
    return f"{said}, {t('the answer to an earlier design of the claim')}" if stands.earlier else said


def _seconds(result: ClaimResult) -> str:
    known = [part.seconds for part in result.parts if part.seconds is not None]
    return wording.duration(sum(known)) if known else ""


def _row(
    name: str, anchor: str, verdict: Verdict, scale: wording.Scale, axis: float, preview: bool, beside: str = ""
) -> Row:
    return Row(
        name=name,
        full=f"{verdict.claim}, {name}",
        anchor=anchor,
        beside=beside,
        outcome=verdict.outcome,
        preview=preview and verdict.outcome != "insufficient",
        word=answers.in_short(verdict, preview),
        estimate=wording.estimate(verdict, scale),
        interval=wording.interval(verdict, scale),
        margin=wording.margin(verdict, scale),
        runs=wording.seeds(verdict, scale),
        diverged=wording.percent(verdict.judgement.diverged) if verdict.judgement.diverged else "",
        reason=wording.sentence(verdict.judgement.reason),
        exact=scale == "error",
        drawing=forest.row(name, verdict, scale, axis),
    )


def _part(claim: ClaimResult, result: PartResult, data: Data, anchor: str, axis: float) -> PartView:
    part, verdict, details = claim.claim.parts.get(result.name), result.verdict, result.verdict.judgement.details
    exact = details if isinstance(details, ExactDetails) else None
    effect = details if isinstance(details, EffectDetails) else None
    beside, scale = wording.beside(claim.claim, result.name).strip(), answers.scale_of(claim, result)
    return PartView(
        row=_row(result.name, anchor, verdict, scale, axis, answers.is_preview(verdict), beside),
        asked=wording.asked(part.question) if isinstance(part, Effect | Cost) else "",
        metric=wording.metric(result.metric) if isinstance(part, Effect | Cost) else "",
        setup=_setup(result, part),
        change=_change(result, part, scale),
        made=", ".join(result.commits),
        statement=part.statement if isinstance(part, Cost) else exact.statement if exact else "",
        rationale=exact.rationale if exact else "",
        arms=tuple(_arm(arm, part, effect) for arm in result.arms.values()),
        has_final=any(arm.final is not None for arm in result.arms.values()),
        second_metric=wording.metric(part.second_metric) if isinstance(part, Effect) and part.second_metric else "",
        has_finding=any(arm.found is not None for arm in result.arms.values()),
        drawn=data.add(anchor, result, part),
        effects=tuple(_effects(effect)) if effect and isinstance(part, Effect) else (),
        settings=settings_of(result.arms),
        counterexample=tuple(wording.counterexample(verdict)),
        details=tuple(_details(details)) if not isinstance(part, Effect) else (),
    )


def _setup(result: PartResult, part: Part | None) -> str:
    if not isinstance(part, Effect):
        return ""
    pieces = [t("{level} interval decides", level=wording.level(part.question))]
    if result.verdict.steps:
        steps = f"{result.verdict.steps:,}".replace(",", "\u00a0")
        pieces.insert(0, t("{steps} {unit} per run", steps=steps, unit=wording.budget(part.experiment)))
    if part.points:
        pieces.append(wording.points(part))
    if part.rates:
        count = len(part.rates)
        pieces.append(t("each arm at its own best of {count} learning rates, chosen on other seeds", count=count))
    for arm in part.arms:
        if known := wording.control(part.question, arm):
            pieces.append(t("“{name}” is {known} and must be told apart", name=arm, known=known))
    return "; ".join(pieces)


CHANGES: Mapping[str, str] = {
    "superior": "Supported if the whole interval lies beyond the margin, refuted if it ends short of it.",
    "not better": "Refuted if the whole interval lies beyond the margin, supported if it ends short of it.",
    "equivalent": "Supported if the 90 % interval lies inside the margin, refuted if the 95 % one lies outside.",
    "non-inferior": "Supported if the 90 % interval stays above the worse margin, refuted if the 95 % one lies below.",
}


def _change(result: PartResult, part: Part | None, scale: wording.Scale) -> str:
    """What would change the verdict: the rule, and for an open part how many fresh runs an interval would need."""
    verdict = result.verdict
    if not isinstance(part, Effect | Cost):
        return t("One case that misses the tolerance refutes it.") if verdict.outcome == "supported" else ""
    text, needed = t(CHANGES[part.question.asks]), _needed(verdict, scale)
    if verdict.outcome == "inconclusive" and needed and isinstance(part, Effect):
        seen = max(max(arm.seeds, default=0) for arm in result.arms.values()) + 1 - part.judged_from
        fresh = f"--seeds {needed} --after {seen}"
        text += " " + t(
            "Should the estimate stay, about {count} fresh runs an arm decide it: {fresh}.", count=needed, fresh=fresh
        )
    return text


def _needed(verdict: Verdict, scale: wording.Scale) -> int | None:
    """Runs an arm at which the interval, narrower by the root of their number, would clear the nearest margin."""
    estimate, low, high = margins.figures(verdict, scale)
    runs = verdict.judgement.n
    if estimate is None or low is None or high is None or not runs:
        return None
    gap = min(abs(estimate - edge) for edge in (-1, 1))
    half = (high - low) / 2
    needed = math.ceil(runs * (half / gap) ** 2) if gap > 0 else 10**9
    return needed if runs < needed <= 1000 else None


def _effects(details: EffectDetails) -> Iterator[tuple[str, str]]:
    """The judge's further answers to the same evidence: both intervals, the odds of a better run, the controls."""
    for name, answer in details.answers.items():
        yield name.replace("_", " "), answer.words
    for level, found in details.intervals.items():
        yield f"{level} % interval", _interval(found)
    chance = details.probability_of_improvement
    yield "chance that a run is better", f"{wording.number(chance.estimate)} {_interval(chance)}"
    controls = {"negative control": details.negative_control, "positive control": details.positive_control}
    for role, control in controls.items():
        if control:
            seen = "told apart" if control.told_apart else "not told apart"
            yield f"{role}, {control.arm}", f"{seen}, {_interval(control.interval)}"
    diverged = details.divergence
    proportions = (wording.percent(each) for each in (diverged.treatment, diverged.reference))
    yield "diverged, treatment and reference", " and ".join(proportions)
    yield "diverged, difference", f"{wording.number(diverged.difference)} {_interval(diverged)}"


def _interval(found: Bounds | Divergence) -> str:
    return f"[{wording.number(found.low)}, {wording.number(found.high)}]"


def _arm(arm: ArmResult, part: Part | None, details: EffectDetails | None) -> ArmRow:
    judged = details.arms.get(arm.name) if details else None
    found = confidence_bands.point(arm.scores)
    question = part.question if isinstance(part, Effect) else None
    role = next((role for role, name in question.roles.items() if name == arm.name), "") if question else ""
    both = wording.finite(found.low) is not None
    return ArmRow(
        name=arm.name,
        role=t(role),
        rate=wording.setting(arm.rate),
        seeds=len(arm.seeds),
        score=wording.number(found.estimate),
        interval=f"[{wording.number(found.low)}, {wording.number(found.high)}]" if both else "",
        iqm=wording.number(judged.iqm if judged else None),
        final=_mean(arm.final),
        second=_mean(arm.second),
        found=_mean(arm.found),
        first_success=_mean(arm.first_success),
        diverged=f"{int(arm.diverged.sum())} / {len(arm.diverged)}" if len(arm.diverged) else wording.NOTHING,
        missing=int((~np.isfinite(arm.scores)).sum()),
    )


def _mean(values: np.ndarray | None) -> str:
    return wording.NOTHING if values is None else wording.number(confidence_bands.point(values).estimate)


def _details(details: object) -> Iterator[tuple[str, str]]:
    """What has no place of its own on the page of an exact or a cost part."""
    if isinstance(details, ExactDetails):
        yield "median error", wording.number(details.median_error)
        yield "cases that miss", str(details.missed)
    elif isinstance(details, EffectDetails):
        yield from _effects(details)
