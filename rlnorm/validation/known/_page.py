"""The pages of known answers: one for each, and a table of published result, our answer, and whether they agree."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import fill

from rlnorm.files import write_atomically
from rlnorm.study.claim import Effect, Exact, Part
from rlnorm.study.claim.load import ClaimFile, Claims
from rlnorm.study.judge import ClaimResult, PartResult, StudyResult
from rlnorm.study.plan import Request
from rlnorm.study.report import markdown, wording

COMMAND = "python scripts/known_answers.py"
OTHERWISE: Mapping[tuple[str, str], str] = {}
"""Claim and part -> why our answer is not the published one."""
SAYS = {
    "superior": "better than",
    "not better": "not better than",
    "equivalent": "the same as",
    "non-inferior": "no worse than",
}


def known() -> Mapping[str, ClaimFile]:
    """Every known answer by id."""
    return Claims(Path(__file__).parent, "rlnorm.validation.known")


def requests() -> list[Request]:
    """Each of them in full."""
    return [Request(found, "full") for found in known().values()]


def keep(study: StudyResult, out: Path) -> list[Path]:
    """Write a page and the scores of each known answer to `out` -> what was written.

    Where our answer is not the published one, the page says why.
    """
    written = markdown.keep(replace(study, claims=tuple(replace(each, command=COMMAND) for each in study.claims)), out)
    for (claim, part), why in OTHERWISE.items():
        page = out / f"{claim}.md"
        if page in written:
            text = fill(f"Not the published direction in “{part}”: {why}", markdown.WIDTH)
            write_atomically(page, f"{page.read_text('utf-8')}\n{text}\n")
    return written


def page(study: StudyResult) -> str:
    """The table as a Markdown page."""
    parts = [(claim, part) for claim in study.claims for part in claim.parts]
    same = sum(part.verdict.outcome == "supported" for _, part in parts)
    commits = (commit for _, part in parts for commit in part.commits)
    made = f"Command: `{COMMAND}`; {wording.commits(commits, study.commit)}."
    said = (
        "What others have published, asked of the whole pipeline: declared as claims (`rlnorm/validation/known`), "
        "planned, run, judged by the rules of every claim. The direction is the test; sizes differ with the task. Ours "
        "is the first arm minus the second, or over it (×), with its interval; of exact parts the largest error. "
        f"{same} of {len(parts)} parts have the published direction."
    )
    heads = ("known answer", "published by", "part", "published direction", "ours", "same direction")
    lines = ["# Published results as known answers", "", fill(said, markdown.WIDTH), "", fill(made, markdown.WIDTH), ""]
    lines += markdown.table(heads, (_row(claim, part) for claim, part in parts))
    return "\n".join(lines) + "\n"


def _row(claim: ClaimResult, part: PartResult) -> Iterator[str]:
    declared, verdict = claim.claim, part.verdict
    scale = wording.scale_of(declared.parts[part.name])
    yield from (f"[{claim.id}]({claim.id}.md): {declared.title}", declared.source, part.name)
    yield _direction(declared.parts[part.name], part.metric)
    yield f"{wording.estimate(verdict, scale)} ({wording.interval(verdict, scale)})"
    yield "yes" if verdict.outcome == "supported" else _not_so(claim, part)


def _direction(part: Part, metric: str) -> str:
    """What was published, as the part states it."""
    if isinstance(part, Exact):
        return part.statement
    assert isinstance(part, Effect)
    asked = part.question
    return f"{asked.treatment} {SAYS[asked.asks]} {asked.reference}: {wording.metric(metric)}"


def _not_so(claim: ClaimResult, part: PartResult) -> str:
    why = OTHERWISE.get((claim.id, part.name), wording.sentence(part.verdict.judgement.reason))
    return f"{'no' if part.verdict.outcome == 'refuted' else 'open'}: {why}"
