"""What a study leaves to be kept under version control: a page and every run's score of each claim, small and as text.

The report shows more, but is large and made anew whenever the page changes; these files are the record.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import fill

from rlnorm.study import bands, words
from rlnorm.study.results import ArmResult, ClaimResult, PartResult, StudyResult
from rlnorm.study.store import write_atomically

WIDTH = 120


def keep(study: StudyResult, out: Path) -> list[Path]:
    """Write `<claim>.md` and, where runs were scored, `<claim>.csv` of every claim to `out` -> what was written."""
    written = list[Path]()
    for claim in study.claims:
        files = {".md": page(claim, study)}
        if any(part.arms for part in claim.parts):
            files[".csv"] = scores(claim)
        for suffix, text in files.items():
            written.append(out / f"{claim.id}{suffix}")
            write_atomically(written[-1], text)
    return written


def scores(claim: ClaimResult) -> str:
    """One line an arm of a part: its seeds, scores and (DQN) final greedy returns, in the same order, by blanks."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["part", "arm", "rate", "metric", "seeds", "scores", "diverged seeds", "final returns"])
    for part in claim.parts:
        for arm in part.arms.values():
            lost = (seed for seed, diverged in zip(arm.seeds, arm.diverged, strict=True) if diverged)
            final = () if arm.final is None else (f"{value:.1f}" for value in arm.final)
            each = (map(str, arm.seeds), (f"{score:.4f}" for score in arm.scores), map(str, lost), final)
            seeds, scored, diverged, finals = (" ".join(values) for values in each)
            table.writerow([part.name, arm.name, words.setting(arm.rate), part.metric, seeds, scored, diverged, finals])
    return out.getvalue()


def page(claim: ClaimResult, study: StudyResult) -> str:
    """A claim as Markdown: statement, verdicts, arms in figures, and what made them."""
    told = claim.overall
    lines = [f"# {claim.id}", "", fill(claim.claim.statement, WIDTH), ""]
    lines += [fill(f"**{words.sentence(told.verdict)}.** {told.reason} Rule: {words.rule(claim.claim)}.", WIDTH), ""]
    lines += [fill(" ".join(_made(claim, study)), WIDTH), ""]
    if claim.claim.literature:
        lines += [fill(f"Published work, not given to the judge: {claim.claim.literature}", WIDTH), ""]
    lines += _table(
        ("part", "verdict", "estimate", "interval", "margin", "seeds", "why"),
        ((_named(claim, part), *_verdict(claim, part)) for part in claim.parts),
    )
    arms = [(part, arm) for part in claim.parts for arm in part.arms.values()]
    if arms:
        lines += ["", "Arms: mean score over runs with its 95 % interval, and mean greedy return at the last step.", ""]
        heads = ("part", "arm", "rate", "seeds", "score", "95 % interval", "greedy return", "diverged")
        lines += _table(heads, ((part.name, *_arm(arm)) for part, arm in arms))
        lines += ["", f"Every run's score: [{claim.id}.csv]({claim.id}.csv)."]
        shared = " · ".join(_shared([arm for _, arm in arms if arm.seeds]))
        lines += ["", fill(f"All arms that were run share: {shared or words.NOTHING}.", WIDTH)]
    return "\n".join(lines) + "\n"


def _made(claim: ClaimResult, study: StudyResult) -> Iterator[str]:
    yield f"Command: `{claim.command}`;"
    yield f"{words.commits((commit for part in claim.parts for commit in part.commits), study.commit)};"
    versions = ", ".join(f"{name} {number}" for name, number in study.versions.items())
    yield f"{versions}; {study.hardware or 'hardware unknown'}."


def _named(claim: ClaimResult, part: PartResult) -> str:
    return part.name + words.beside(claim.claim, part.name)


def _verdict(claim: ClaimResult, part: PartResult) -> Iterator[str]:
    found, scale = part.verdict, words.scale_of(claim.claim.parts.get(part.name))
    yield found.verdict
    yield from (show(found, scale) for show in (words.estimate, words.interval, words.margin, words.seeds))
    yield words.sentence(found.reason)


def _arm(arm: ArmResult) -> Iterator[str]:
    yield from (arm.name, words.setting(arm.rate), str(len(arm.seeds)))
    found = bands.point(arm.scores)
    yield words.number(found.estimate)
    yield f"[{words.number(found.low)}, {words.number(found.high)}]"
    yield words.NOTHING if arm.final is None else words.number(bands.point(arm.final).estimate)
    yield f"{int(arm.diverged.sum())} of {len(arm.diverged)}"


def _shared(arms: list[ArmResult]) -> Iterator[str]:
    for key, value in arms[0].settings.items() if arms else ():
        if all(arm.settings.get(key) == value for arm in arms):
            yield f"{key} {words.setting(value)}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = tuple(heads)
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
