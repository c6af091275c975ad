"""What came out of a claim, in a sentence and a figure: what people read first.

A verdict on a trained effect at a short preset is a preview and is said in other words (rule 9 of the design): its
agents and networks are half trained.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rlnorm.study.claim import Cost, Effect
from rlnorm.study.judge.results import ClaimResult, PartResult
from rlnorm.study.judge.verdict import ExactDetails, Outcome, Verdict
from rlnorm.study.report import margins, notes, wording
from rlnorm.study.report.language import spoken, t
from rlnorm.study.report.margins import Direction, Uselessness

PREVIEWS: Mapping[Outcome, str] = {
    "supported": "points to supported",
    "refuted": "points to refuted",
    "inconclusive": "open so far",
    "insufficient": "insufficient",
}
DIRECTIONS: Mapping[Direction | Uselessness, str] = {
    "better": "better",
    "worse": "worse",
    "harmful": "harmful",
    "no benefit": "no benefit of the margin",
    "same": "the same to within the margin",
    "open": "open",
}
SHORT: Mapping[Uselessness, str] = {"harmful": "harmful", "no benefit": "no benefit", "same": "the same"}


def is_preview(verdict: Verdict) -> bool:
    """Whether a part's verdict rests on runs of a short preset."""
    return verdict.preset not in (None, "full")


def is_preview_of(result: ClaimResult) -> bool:
    """Whether a claim's overall verdict rests on runs of a short preset."""
    # By what is declared: at a short preset the trained parts may be missing, and algebra alone is no verdict then.
    trained = any(result.claim.parts[name].kind == "effect" for name in result.claim.decisive)
    return trained and is_preview(result.overall)


def in_part(result: ClaimResult) -> bool:
    """Whether a preview lacks parts that decide the claim: on other environments, say, which `full` alone trains."""
    return is_preview_of(result) and not set(result.claim.decisive) <= {part.name for part in result.parts}


def word(outcome: Outcome, preview: bool) -> str:
    """The verdict as people read it: a preview in other words."""
    return t(PREVIEWS[outcome] if preview else outcome)


def in_short(verdict: Verdict, preview: bool) -> str:
    """A verdict as people read it, and which answer it is that a treatment is not better: supported, harmful."""
    useless = margins.uselessness(verdict)
    said = word(verdict.outcome, preview)
    # A preview fills its column by itself.
    return said if preview or not useless else f"{said}, {t(SHORT[useless])}"


def title(result: ClaimResult) -> str:
    """The claim's title, in the spoken language where it is known there."""
    return notes.title(result.id, result.claim.title)


def decisive(result: ClaimResult) -> list[PartResult]:
    """The parts that the overall verdict counts; all where none of them was asked for."""
    counted = [part for part in result.parts if part.name in result.claim.decisive]
    return counted or list(result.parts)


def decider(result: ClaimResult) -> PartResult | None:
    """The part that says most: of those with the overall verdict the farthest from no effect.

    Where every part is needed for that verdict, the one that came nearest to another. Parts at unfair rates (rule 6)
    come last.
    """
    names = [part.name for part in decisive(result) if part.name in result.claim.parts]
    fair = dict(zip(names, result.claim.fair(names)))
    able = [part for part in decisive(result) if fair.get(part.name, True)]
    agreeing = [part for part in able if part.verdict.outcome == result.overall.outcome]
    parts = [part for part in agreeing or decisive(result) if part.verdict.judgement.estimate is not None]
    needs_all = result.overall.outcome == ("supported" if result.claim.overall == "all" else "refuted")
    return (min if needs_all else max)(parts, key=lambda part: _size(result, part), default=None)


def _size(result: ClaimResult, part: PartResult) -> float:
    """How far a part's estimate lies from no effect, in margins; for exact parts less is safer, so it is turned."""
    verdict, scale = part.verdict, scale_of(result, part)
    if scale == "error":
        size = (wording.finite(verdict.judgement.estimate) or 0.0) / (wording.finite(verdict.margin) or 1.0)
        return size if verdict.outcome == "refuted" else -size
    return abs(margins.figures(verdict, scale)[0] or 0.0)


def scale_of(result: ClaimResult, part: PartResult) -> wording.Scale:
    """What a part's estimate is."""
    return wording.scale_of(result.claim.parts.get(part.name))


def brief(verdict: Verdict, scale: wording.Scale) -> str:
    """Estimate and interval as short as they can be; how many cases miss for exact parts."""
    judged = verdict.judgement
    if isinstance(judged.details, ExactDetails):
        return t("{missed} of {cases} miss", missed=judged.details.missed, cases=judged.n)
    if judged.estimate is None:
        return wording.NOTHING
    figures = wording.estimate(verdict, scale), wording.interval(verdict, scale)
    return " ".join(figure for figure in figures if figure != wording.NOTHING)


def runs(verdict: Verdict, scale: wording.Scale) -> str:
    """Runs per arm, or cases of an exact part, as a number."""
    return str(verdict.judgement.n or wording.NOTHING)


def sentence(result: ClaimResult) -> str:
    """What happened, in a sentence: which way the treatment went, in how many parts, and how far."""
    parts = decisive(result)
    if not any(part.verdict.judgement.n for part in parts):
        return t("Nothing of it has been run yet.")
    said = [*_exact([part for part in parts if part.kind == "exact"]), *_compared(result, parts)]
    lacking = sum(part.verdict.outcome == "insufficient" for part in parts)
    if lacking:
        said.append(t("too little evidence") + _share(lacking, len(parts)))
    if in_part(result):
        deciding = set(result.claim.decisive)
        count, total = len(deciding & {part.name for part in result.parts}), len(deciding)
        said.append(t("a preview of {count} of {total} parts that decide it", count=count, total=total))
    text = "; ".join(said) + "."
    return text if spoken() == "ko" else wording.sentence(text)  # Korean has no capitals: an arm keeps its name


def _share(count: int, total: int) -> str:
    """In how many of a claim's parts; nothing where it has one alone."""
    return "" if total == 1 else " " + t("in {count} of {total} parts", count=count, total=total)


def _exact(parts: Sequence[PartResult]) -> Iterator[str]:
    if not parts:
        return
    failed = [part for part in parts if part.verdict.outcome == "refuted"]
    cases = sum(part.verdict.judgement.n or 0 for part in parts)
    if not failed:
        yield t("it holds in all {cases} random cases", cases=cases)
    else:
        figures = [f"{part.name}: {brief(part.verdict, 'error')}" for part in failed]
        yield t("it fails") + _share(len(failed), len(parts)) + f" ({_first(figures)})"


def _compared(result: ClaimResult, parts: Sequence[PartResult]) -> Iterator[str]:
    """Where treatment and reference stood, by direction, with the farthest estimate of each.

    Of a treatment that is not better it is told which of three answers that is: harmful, the same, or no benefit.
    """
    found: dict[Direction | Uselessness, list[PartResult]] = {}
    compared = [part for part in parts if isinstance(result.claim.parts.get(part.name), Effect | Cost)]
    for part in compared:
        where = margins.uselessness(part.verdict) or margins.direction(part.verdict, scale_of(result, part))
        if where and part.verdict.outcome != "insufficient":
            found.setdefault(where, []).append(part)
    pieces = []
    for where, text in DIRECTIONS.items():
        if where in found:
            piece = t(text) + _share(len(found[where]), len(compared))
            pieces.append(piece + _farthest(result, found[where], named=len(compared) > 1))
    if pieces:
        against = _against(result, compared)
        yield t("{treatment} against {reference}", **against._asdict()) + ": " + ", ".join(pieces)


def _farthest(result: ClaimResult, parts: Sequence[PartResult], named: bool) -> str:
    part = max(parts, key=lambda part: _size(result, part))
    figure = wording.estimate(part.verdict, scale_of(result, part))
    return f" ({part.name}: {figure})" if named else f" ({figure})"


class Against(NamedTuple):
    """The two arms that are held against each other."""

    treatment: str
    reference: str


def _against(result: ClaimResult, parts: Iterable[PartResult]) -> Against:
    """Their names where all parts share them, else their roles."""
    asked = [part.question for each in parts if isinstance(part := result.claim.parts[each.name], Effect | Cost)]
    treatments, references = {each.treatment for each in asked}, {each.reference for each in asked}
    return Against(
        treatments.pop() if len(treatments) == 1 else t("the treatment"),
        references.pop() if len(references) == 1 else t("the reference"),
    )


def _first(items: Sequence[str], most: int = 2) -> str:
    rest = len(items) - most
    return "; ".join(items[:most]) + ("; " + t("and {count} more", count=rest) if rest > 0 else "")
