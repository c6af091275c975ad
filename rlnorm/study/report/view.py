"""From a study to what the page's template shows: strings, tables and drawings, nothing left to decide there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rlnorm.study import bands, words
from rlnorm.study.claim import Claim, Effect, Part
from rlnorm.study.cost import Cost
from rlnorm.study.judge import Outcome, Verdict
from rlnorm.study.report import figures, forest, style
from rlnorm.study.results import ArmResult, ClaimResult, PartResult, StudyResult

SETTLED = frozenset({"says", "tolerance", "because", "counterexample"})
"""Details of exact parts that have a place of their own on the page."""


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
    says: str
    because: str
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
    colours = style.colours(arm.name for _, _, arm in words.arms_of(study))
    axis = reach(study)
    return tuple(_claim(result, colours, axis) for result in study.claims)


def reach(study: StudyResult) -> float:
    """How many margins the forest plot's axis shows to either side."""
    parts = ((part.verdict, claim.claim.parts.get(part.name)) for claim in study.claims for part in claim.parts)
    return forest.reach_of((verdict, words.scale_of(part)) for verdict, part in parts)


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
    shares = [f"{n} {how[kind]}" for kind, n in sorted(count.items())]
    n = len(study.claims)
    return f"{n} {'claim' if n == 1 else 'claims'}: {', '.join(shares)}." if n else "No claims yet."


def settings_of(arms: Mapping[str, ArmResult]) -> Settings | None:
    """Which settings differ between arms and which they share; None without arms."""
    if not arms:
        return None
    names = dict.fromkeys(key for arm in arms.values() for key in arm.settings)
    table = {key: tuple(words.setting(arm.settings.get(key)) for arm in arms.values()) for key in names}
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
        rule=words.sentence(words.rule(claim)) if len(result.parts) > 1 else "",
        overall=_row("overall", result.overall, words.overall_scale(result), axis),
        parts=tuple(_part(claim, part, colours, axis) for part in result.parts),
        command=result.command,
    )


def _row(name: str, verdict: Verdict, scale: words.Scale, axis: float, beside: str = "") -> Row:
    return Row(
        name=name,
        beside=beside,
        outcome=verdict.verdict,
        estimate=words.estimate(verdict, scale),
        interval=words.interval(verdict, scale),
        margin=words.margin(verdict, scale),
        seeds=words.seeds(verdict, scale),
        diverged=words.share(verdict.diverged) if verdict.diverged else "",
        reason=words.sentence(verdict.reason),
        exact=scale == "error",
        drawing=forest.row(verdict, scale, axis),
    )


def _part(claim: Claim, result: PartResult, colours: Mapping[str, str], axis: float) -> PartView:
    part, verdict, details = claim.parts.get(result.name), result.verdict, result.verdict.details
    drawn = tuple(_figures(result, part, colours))
    return PartView(
        row=_row(result.name, verdict, words.scale_of(part), axis, words.beside(claim, result.name).strip()),
        asked=words.asked(part.question) if isinstance(part, Effect | Cost) else "",
        metric=words.metric(result.metric) if isinstance(part, Effect | Cost) else "",
        setup=_setup(result, part),
        made=", ".join(result.commits),
        says=part.says if isinstance(part, Cost) else str(details.get("says", "")),
        because=str(details.get("because", "")),
        arms=tuple(_arm(arm, part, colours, details) for arm in result.arms.values()),
        figures=drawn,
        dashed=any(_thins_out(arm) for arm in result.arms.values()),
        effects=tuple(_effects(details)) if isinstance(part, Effect) else (),
        settings=settings_of(result.arms),
        counterexample=tuple(words.counterexample(verdict)),
        details=() if isinstance(part, Effect) else _shown({k: v for k, v in details.items() if k not in SETTLED}),
    )


def _setup(result: PartResult, part: Part | None) -> str:
    if not isinstance(part, Effect):
        return ""
    unit = _unit(part)
    pieces = [f"{words.level(part.question)} interval decides"]
    if result.verdict.steps:
        pieces.insert(0, f"{result.verdict.steps:,} {unit} per run".replace(",", "\u00a0"))
    if part.grid:
        pieces.append(f"a run's score is its mean over {len(part.rates)} learning rates")
    elif part.rates:
        pieces.append(f"each arm at its own best of {len(part.rates)} learning rates, chosen on other seeds")
    if part.question.planted:
        pieces.append(f"“{part.question.planted}” is a planted worse arm, which must be told apart")
    return "; ".join(pieces)


def _effects(details: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """The judge's further answers to the same evidence: its parts, both intervals, the odds of a better run."""
    for name, part in _mapping(details.get("parts")).items():
        yield name.replace("_", " "), str(_mapping(part).get("words", words.NOTHING))
    for level, found in _mapping(details.get("intervals")).items():
        yield f"{level} % interval", _interval(found)
    if "probability_of_improvement" in details:
        chance = _mapping(details["probability_of_improvement"])
        yield "chance that a run is better", f"{words.number(chance.get('estimate'))} {_interval(chance)}"
    planted = _mapping(details.get("planted"))
    if planted:
        seen = "told apart" if planted.get("told_apart") else "not told apart"
        yield f"planted worse arm, {planted.get('arm')}", f"{seen}, {_interval(planted.get('interval'))}"
    diverged = _mapping(details.get("diverged"))
    if diverged:
        shares = (words.share(diverged.get(arm)) for arm in ("treatment", "reference"))
        yield "diverged, treatment and reference", " and ".join(shares)
        yield "diverged, difference of shares", f"{words.number(diverged.get('difference'))} {_interval(diverged)}"


def _interval(found: object) -> str:
    ends = _mapping(found)
    return f"[{words.number(ends.get('low'))}, {words.number(ends.get('high'))}]"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _thins_out(arm: ArmResult) -> bool:
    return any(np.isfinite(bands.curve(curve.values).rest).any() for curve in arm.curves.values())


def _unit(part: Part | None) -> str:
    return "updates" if isinstance(part, Effect) and part.experiment.engine == "supervised" else "environment steps"


def _figures(result: PartResult, part: Part | None, colours: Mapping[str, str]) -> Iterable[tuple[str, Markup]]:
    effect = part if isinstance(part, Effect) else None
    question = effect.question if effect else None
    margin = question.margin if question and question.scale == "difference" else None
    drawn = figures.scores(
        result.arms, colours, question.reference if question else None, margin, words.metric(result.metric)
    )
    if drawn:
        strip = "; shaded: reference ± margin" if margin else ""
        yield f"Score of every run, mean with 95 % interval{strip}", drawn
    middle = " at the middle rate; the score is a mean over all" if effect and effect.grid else ""
    for key in dict.fromkeys(key for arm in result.arms.values() for key in arm.curves):
        drawn = figures.curves(result.arms, key, colours, _unit(part))
        if drawn:
            yield f"{words.CURVES.get(key, key)}{middle}", drawn


def _arm(arm: ArmResult, part: Part | None, colours: Mapping[str, str], details: Mapping[str, object]) -> ArmRow:
    judged = _mapping(_mapping(details.get("arms")).get(arm.name))
    found = bands.point(arm.scores)
    question = part.question if isinstance(part, Effect) else None
    roles = {question.treatment: "treatment", question.reference: "reference"} if question else {}
    if question and question.planted:
        roles[question.planted] = "planted worse"
    both = words.finite(found.low) is not None
    return ArmRow(
        name=arm.name,
        colour=colours[arm.name],
        role=roles.get(arm.name, ""),
        rate=words.setting(arm.rate),
        seeds=len(arm.seeds),
        score=words.number(found.estimate),
        interval=f"[{words.number(found.low)}, {words.number(found.high)}]" if both else "",
        iqm=words.number(judged.get("iqm")),
        final=words.NOTHING if arm.final is None else words.number(bands.point(arm.final).estimate),
        diverged=f"{int(arm.diverged.sum())} of {len(arm.diverged)}" if len(arm.diverged) else words.NOTHING,
        missing=int((~np.isfinite(arm.scores)).sum()),
    )


def _shown(details: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), _value(value)) for key, value in details.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return words.number(value)
    if isinstance(value, str | int | None):
        return words.setting(value)
    return json.dumps(value, default=str, ensure_ascii=False)
