"""From a study to what the page's template shows: strings, tables and drawings, nothing left to decide there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rlnorm.study.claim import Claim, Cost, Effect, Part
from rlnorm.study.judge.results import ArmResult, ClaimResult, PartResult, StudyResult
from rlnorm.study.judge.verdict import Bounds, Divergence, EffectDetails, ExactDetails, Outcome, Verdict
from rlnorm.study.report import confidence_bands, wording
from rlnorm.study.report.html import figures, forest, style


@dataclass(frozen=True)
class Row:
    """One verdict as strings, and its drawing; `beside` marks a part that does not count for the overall verdict."""

    name: str
    beside: str
    outcome: Outcome
    estimate: str
    interval: str
    margin: str
    seeds: str
    diverged: str
    reason: str
    exact: bool
    drawing: Markup


@dataclass(frozen=True)
class ArmRow:
    """One arm of a part in figures."""

    name: str
    colour: str
    role: str
    rate: str
    seeds: int
    score: str
    interval: str
    iqm: str
    final: str
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
    made: str
    statement: str
    rationale: str
    arms: tuple[ArmRow, ...]
    figures: tuple[tuple[str, Markup], ...]
    dashed: bool
    effects: tuple[tuple[str, str], ...]
    settings: Settings | None
    counterexample: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClaimView:
    """One claim: its block in the table of verdicts and its section."""

    id: str
    kinds: str
    statement: str
    source: str
    notes: tuple[str, ...]
    literature: str
    rule: str
    overall: Row
    parts: tuple[PartView, ...]
    command: str


def claims(study: StudyResult) -> tuple[ClaimView, ...]:
    """Every claim of the study, in its order; one colour per arm name throughout."""
    colours = style.colours(arm.name for _, _, arm in wording.arms_of(study))
    axis = reach(study)
    return tuple(_claim(result, colours, axis) for result in study.claims)


def reach(study: StudyResult) -> float:
    """How many margins the forest plot's axis shows to either side."""
    parts = ((part.verdict, claim.claim.parts.get(part.name)) for claim in study.claims for part in claim.parts)
    return forest.reach_of((verdict, wording.scale_of(part)) for verdict, part in parts)


def asked(study: StudyResult) -> str:
    """What the study set out to answer, as one sentence."""
    count: dict[str, int] = {}
    for claim in study.claims:
        kind = claim.claim.kind
        count[kind] = count.get(kind, 0) + 1
    how = {
        "effect": "decided by training many seeds",
        "exact": "by algebra in float64",
        "cost": "by timing side by side",
    }
    kinds = [f"{n} {how[kind]}" for kind, n in sorted(count.items())]
    n = len(study.claims)
    return f"{n} {'claim' if n == 1 else 'claims'}: {', '.join(kinds)}." if n else "No claims yet."


def settings_of(arms: Mapping[str, ArmResult]) -> Settings | None:
    """Which settings differ between arms and which they share; None without arms."""
    if not arms:
        return None
    names = dict.fromkeys(key for arm in arms.values() for key in arm.settings)
    table = {key: tuple(wording.setting(arm.settings.get(key)) for arm in arms.values()) for key in names}
    return Settings(
        arms=tuple(arms),
        differs=tuple((key, values) for key, values in table.items() if len(set(values)) > 1),
        common=tuple((key, values[0]) for key, values in table.items() if len(set(values)) == 1),
    )


def _claim(result: ClaimResult, colours: Mapping[str, str], axis: float) -> ClaimView:
    claim = result.claim
    return ClaimView(
        id=result.id,
        kinds=", ".join(dict.fromkeys(part.kind for part in result.parts)) or claim.kind,
        statement=claim.statement,
        source=claim.source,
        notes=claim.notes,
        literature=claim.literature,
        rule=wording.sentence(wording.rule(claim)) if len(result.parts) > 1 else "",
        overall=_row("overall", result.overall, wording.overall_scale(result), axis),
        parts=tuple(_part(claim, part, colours, axis) for part in result.parts),
        command=result.command,
    )


def _row(name: str, verdict: Verdict, scale: wording.Scale, axis: float, beside: str = "") -> Row:
    return Row(
        name=name,
        beside=beside,
        outcome=verdict.outcome,
        estimate=wording.estimate(verdict, scale),
        interval=wording.interval(verdict, scale),
        margin=wording.margin(verdict, scale),
        seeds=wording.seeds(verdict, scale),
        diverged=wording.percent(verdict.judgement.diverged) if verdict.judgement.diverged else "",
        reason=wording.sentence(verdict.judgement.reason),
        exact=scale == "error",
        drawing=forest.row(verdict, scale, axis),
    )


def _part(claim: Claim, result: PartResult, colours: Mapping[str, str], axis: float) -> PartView:
    part, verdict, details = claim.parts.get(result.name), result.verdict, result.verdict.judgement.details
    exact = details if isinstance(details, ExactDetails) else None
    effect = details if isinstance(details, EffectDetails) else None
    drawn = tuple(_figures(result, part, colours))
    return PartView(
        row=_row(result.name, verdict, wording.scale_of(part), axis, wording.beside(claim, result.name).strip()),
        asked=wording.asked(part.question) if isinstance(part, Effect | Cost) else "",
        metric=wording.metric(result.metric) if isinstance(part, Effect | Cost) else "",
        setup=_setup(result, part),
        made=", ".join(result.commits),
        statement=part.statement if isinstance(part, Cost) else exact.statement if exact else "",
        rationale=exact.rationale if exact else "",
        arms=tuple(_arm(arm, part, colours, effect) for arm in result.arms.values()),
        figures=drawn,
        dashed=any(_thins_out(arm) for arm in result.arms.values()),
        effects=tuple(_effects(effect)) if effect and isinstance(part, Effect) else (),
        settings=settings_of(result.arms),
        counterexample=tuple(wording.counterexample(verdict)),
        details=tuple(_details(details)) if not isinstance(part, Effect) else (),
    )


def _setup(result: PartResult, part: Part | None) -> str:
    if not isinstance(part, Effect):
        return ""
    unit = _unit(part)
    pieces = [f"{wording.level(part.question)} interval decides"]
    if result.verdict.steps:
        pieces.insert(0, f"{result.verdict.steps:,} {unit} per run".replace(",", "\u00a0"))
    if part.points:
        pieces.append(wording.points(part))
    if part.rates:
        pieces.append(f"each arm at its own best of {len(part.rates)} learning rates, chosen on other seeds")
    for arm in part.arms:
        if known := wording.control(part.question, arm):
            pieces.append(f"“{arm}” is {known.removeprefix('; ')} and must be told apart")
    return "; ".join(pieces)


def _effects(details: EffectDetails) -> Iterator[tuple[str, str]]:
    """The judge's further answers to the same evidence: both intervals, the odds of a better run, the controls."""
    for name, answer in details.answers.items():
        yield name.replace("_", " "), answer.words
    for level, found in details.intervals.items():
        yield f"{level} % interval", _interval(found)
    chance = details.probability_of_improvement
    yield "chance that a run is better", f"{wording.number(chance.estimate)} {_interval(chance)}"
    control = details.negative_control
    if control:
        seen = "told apart" if control.told_apart else "not told apart"
        yield f"negative control, {control.arm}", f"{seen}, {_interval(control.interval)}"
    diverged = details.divergence
    proportions = (wording.percent(each) for each in (diverged.treatment, diverged.reference))
    yield "diverged, treatment and reference", " and ".join(proportions)
    yield "diverged, difference", f"{wording.number(diverged.difference)} {_interval(diverged)}"


def _interval(found: Bounds | Divergence) -> str:
    return f"[{wording.number(found.low)}, {wording.number(found.high)}]"


def _thins_out(arm: ArmResult) -> bool:
    return any(np.isfinite(confidence_bands.curve(curve.values).rest).any() for curve in arm.curves.values())


def _unit(part: Part | None) -> str:
    return "updates" if isinstance(part, Effect) and part.experiment.engine == "supervised" else "environment steps"


def _figures(result: PartResult, part: Part | None, colours: Mapping[str, str]) -> Iterable[tuple[str, Markup]]:
    effect = part if isinstance(part, Effect) else None
    question = effect.question if effect else None
    margin = question.margin if question and question.scale == "difference" else None
    drawn = figures.scores(
        result.arms, colours, question.reference if question else None, margin, wording.metric(result.metric)
    )
    if drawn:
        strip = "; shaded: reference ± margin" if margin else ""
        yield f"Score of every run, mean with 95 % interval{strip}", drawn
    middle = " at the middle point" if effect and effect.points else ""
    for key in dict.fromkeys(key for arm in result.arms.values() for key in arm.curves):
        drawn = figures.curves(result.arms, key, colours, _unit(part))
        if drawn:
            yield f"{wording.CURVES.get(key, key)}{middle}", drawn


def _arm(arm: ArmResult, part: Part | None, colours: Mapping[str, str], details: EffectDetails | None) -> ArmRow:
    judged = details.arms.get(arm.name) if details else None
    found = confidence_bands.point(arm.scores)
    question = part.question if isinstance(part, Effect) else None
    roles = {question.treatment: "treatment", question.reference: "reference"} if question else {}
    if question and question.negative_control:
        roles[question.negative_control] = "negative control"
    both = wording.finite(found.low) is not None
    return ArmRow(
        name=arm.name,
        colour=colours[arm.name],
        role=roles.get(arm.name, ""),
        rate=wording.setting(arm.rate),
        seeds=len(arm.seeds),
        score=wording.number(found.estimate),
        interval=f"[{wording.number(found.low)}, {wording.number(found.high)}]" if both else "",
        iqm=wording.number(judged.iqm if judged else None),
        final=wording.NOTHING if arm.final is None else wording.number(confidence_bands.point(arm.final).estimate),
        diverged=f"{int(arm.diverged.sum())} of {len(arm.diverged)}" if len(arm.diverged) else wording.NOTHING,
        missing=int((~np.isfinite(arm.scores)).sum()),
    )


def _details(details: object) -> Iterator[tuple[str, str]]:
    """What has no place of its own on the page of an exact or a cost part."""
    if isinstance(details, ExactDetails):
        yield "median error", wording.number(details.median_error)
        yield "cases that miss", str(details.missed)
    elif isinstance(details, EffectDetails):
        yield from _effects(details)
