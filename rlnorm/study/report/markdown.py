"""Markdown: tables, and a page of each claim that is small enough to keep under version control.

The HTML report shows more, but it is large and is made anew whenever its form changes; these pages are the record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill

from rlnorm.files import write_atomically
from rlnorm.study.judge import ArmResult, ClaimResult, PartResult, StudyResult
from rlnorm.study.report import answers, confidence_bands, csv, wording

WIDTH = 120
MORE: Mapping[str, str] = {
    "greedy return": "final",
    "met the goal": "found",
    "first success": "first_success",
    "second score": "second",
}
"""Columns of arms that only some engines or questions have, and the field of an arm that holds them."""
TOLD: Mapping[str, str] = {
    "greedy return": "mean of greedy episodes at the last step",
    "met the goal": "fraction of runs in which a training episode did",
    "first success": "mean environment steps until then, the whole budget where none did",
    "second score": "mean by the metric that the first is held against",
}


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a table; a cell is one line of text, and no text in it can end it."""
    return [_line(heads), "|---" * len(heads) + "|", *map(_line, rows)]


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(cell, cells))} |"


def cell(value: object) -> str:
    """A value as one table cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def keep(study: StudyResult, out: Path) -> list[Path]:
    """Write `<claim>.md` and, where runs were scored, `<claim>.csv` of every claim to `out` -> what was written."""
    written = list[Path]()
    for claim in study.claims:
        files = {".md": page(claim, study)}
        if any(part.arms for part in claim.parts):
            files[".csv"] = csv.scores(claim)
        for suffix, text in files.items():
            written.append(out / f"{claim.id}{suffix}")
            write_atomically(written[-1], text)
    return written


def page(claim: ClaimResult, study: StudyResult) -> str:
    """A claim as Markdown: statement, verdicts, arms in figures, and what made them."""
    judged = claim.overall.judgement
    rule = f"{judged.reason} Rule: {wording.rule(claim.claim)}."
    lines = [f"# {claim.id}: {claim.claim.title}", "", fill(claim.claim.statement, WIDTH), ""]
    lines += [fill(answer(claim), WIDTH), "", fill(rule, WIDTH), "", fill(" ".join(_made(claim, study)), WIDTH), ""]
    if claim.claim.literature:
        lines += [fill(f"Published work, not given to the judge: {claim.claim.literature}", WIDTH), ""]
    heads = ("part", "verdict", "estimate", "interval", "margin", "runs", "why")
    lines += table(heads, (_verdict(claim, part) for part in claim.parts))
    arms = [(part, arm) for part in claim.parts for arm in part.arms.values()]
    if arms:
        more = {name: of for name, of in MORE.items() if any(getattr(arm, of) is not None for _, arm in arms)}
        told = "".join(f"; {name}: {TOLD[name]}" for name in more)
        lines += ["", fill(f"Arms: mean score over runs with its 95 % interval{told}.", WIDTH), ""]
        heads = ("part", "arm", "rate", "runs", "score", "95 % interval", *more, "diverged")
        lines += table(heads, ((part.name, *_arm(arm, more.values())) for part, arm in arms))
        lines += ["", f"Every run's score: [{claim.id}.csv]({claim.id}.csv)."]
        shared = " · ".join(_shared([arm for _, arm in arms if arm.seeds]))
        lines += ["", fill(f"All arms that were run share: {shared or wording.NOTHING}.", WIDTH)]
    return "\n".join(lines) + "\n"


def answer(claim: ClaimResult) -> str:
    """The verdict, what happened in a sentence, and the figure of the part that says most."""
    said = f"**{wording.sentence(claim.overall.judgement.outcome)}.** {answers.sentence(claim)}"
    part = answers.decider(claim)
    if part is None or (len(claim.parts) == 1 and not part.arms):
        return said
    return f"{said} Says most: {part.name}, {answers.brief(part.verdict, answers.scale_of(claim, part))}."


def _made(claim: ClaimResult, study: StudyResult) -> Iterator[str]:
    yield f"Command: `{claim.command}`;"
    yield f"{wording.commits((commit for part in claim.parts for commit in part.commits), study.commit)};"
    versions = ", ".join(f"{name} {number}" for name, number in study.versions.items())
    yield f"{versions}; {study.hardware or 'hardware unknown'}."


def _verdict(claim: ClaimResult, part: PartResult) -> Iterator[str]:
    found, scale = part.verdict, wording.scale_of(claim.claim.parts.get(part.name))
    yield part.name + wording.beside(claim.claim, part.name)
    yield found.outcome
    yield from (show(found, scale) for show in (wording.estimate, wording.interval, wording.margin))
    yield wording.seeds(found, scale) + (" repetitions" if part.kind == "cost" and found.judgement.n else "")
    yield wording.sentence(found.judgement.reason)


def _arm(arm: ArmResult, more: Iterable[str]) -> Iterator[str]:
    found = confidence_bands.point(arm.scores)
    yield from (arm.name, wording.setting(arm.rate), str(len(arm.seeds)), wording.number(found.estimate))
    yield f"[{wording.number(found.low)}, {wording.number(found.high)}]"
    for name in more:
        values = getattr(arm, name)
        yield wording.NOTHING if values is None else wording.number(confidence_bands.point(values).estimate)
    yield f"{int(arm.diverged.sum())} of {len(arm.diverged)}"


def _shared(arms: list[ArmResult]) -> Iterator[str]:
    for key, value in arms[0].settings.items() if arms else ():
        if all(arm.settings.get(key) == value for arm in arms):
            yield f"{key} {wording.setting(value)}"
