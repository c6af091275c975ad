"""The kept answers as people look at them: docs/answers.md, and the forest plots of the README and of that page."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from rlnorm.study.claim import Cost, Effect
from rlnorm.study.claim.load import Headline, shipped
from rlnorm.study.claim.metrics import metric_of
from rlnorm.study.judge.evidence import better
from rlnorm.study.report import notes, wording
from rlnorm.study.report.kept import Kept, KeptPart
from rlnorm.study.report.margins import Figures, in_margins, minus
from rlnorm.study.report.markdown import table
from rlnorm.study.report.pictures import COLOURS, Line

NOTES = {
    "N0": "Note N0: batch normalization in general, its backward pass, ReLU and DQN",
    "N1": "Note N1: motives, and the whole derivation of the backward pass",
    "N2": "Note N2: batch normalization in practice",
    "N3": "Note N3: concept, process, effects, cautions",
    "N4": "Note N4: batch learning, folding, convolutions, other normalizations",
}
"""Notes by their short names, with what they are about."""
HEADLINES = ("dqn-ln", "dqn-bn")
BEGIN, END = "<!-- answers: written by `scripts/answers_page.py` -->", "<!-- end of answers -->"
OWN = ", own best rate"
Row = Line | str


def page(claims: Iterable[Kept]) -> str:
    """The page: a line a claim, then each with its picture and its table."""
    listed = sorted(claims, key=lambda claim: claim.id)
    lines = [
        "# Answers that stand",
        "",
        "Verdicts at preset `full`, made from the pages in [results](results/README.md), which hold every score. A bar",
        "is the interval of treatment minus reference in units of the margin; right is better for the treatment, in",
        "the shade no difference matters. Made by",
        "`python scripts/answers_page.py docs/answers.md docs/figures/answers.svg`.",
        "",
        *table(
            ("claim", "answer", "what happened"), ([link(claim), _verdict(claim), claim.answer] for claim in listed)
        ),
    ]
    for claim in listed:
        note = notes.of(claim.id)
        lines += ["", f"## {claim.id}: {claim.title}", ""]
        lines += [f"> {note.en}", ""] if note and note.en else []
        lines += [f"**{wording.sentence(_verdict(claim))}.** {claim.answer} [Page](results/{claim.page}).", ""]
        lines += [f"![{claim.title}: intervals of {len(rows_of(claim))} parts]({figure_of(claim)})", ""]
        heads = ("part", "answer", "estimate", "interval")
        lines += table(heads, ([part.name, part.outcome, _estimate(part), _interval(part)] for part in claim.parts))
        lines += ["", f"`{claim.command}`"]
    return "\n".join(lines) + "\n"


def index(claims: Mapping[str, Kept], every: Iterable[Headline]) -> str:
    """All claims, grouped by the first note that makes them: the answer in short, and the figure that says most."""
    lines, listed = list[str](), list(every)
    for note in (*NOTES, ""):
        own = [line for line in listed if (line.notes[0] if line.notes else "") == note]
        lines += ["", f"## {NOTES.get(note, 'Questions of our own')}", ""]
        lines += table(("claim", "verdict", "what happened", "says most"), (_indexed(line, claims) for line in own))
    return "\n".join(lines[1:]) + "\n"


def indexed(text: str, claims: Mapping[str, Kept], every: Iterable[Headline]) -> str:
    """The text of docs/results/README.md with the index in its place."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n\n{index(claims, every)}\n{end}{tail}"


def _indexed(line: Headline, claims: Mapping[str, Kept]) -> tuple[str, ...]:
    also = f" ({', '.join(line.notes[1:])} too)" if line.notes[1:] else ""
    claim = claims.get(line.id)
    if claim is None:
        return f"{line.id}: {line.title}{also}", "–", "not run at `full` yet", ""
    return f"[{line.id}]({claim.page}): {line.title}{also}", _verdict(claim), claim.answer, claim.most


def _verdict(claim: Kept) -> str:
    return f"{claim.outcome} (earlier design)" if claim.earlier else claim.outcome


def link(claim: Kept) -> str:
    """A claim's title that leads to its place on the page."""
    anchor = "".join(each for each in f"{claim.id}: {claim.title}".lower() if each.isalnum() or each in "- ")
    return f"[{claim.title}](#{anchor.replace(' ', '-')})"


def figure_of(claim: Kept) -> str:
    """Where the picture of a claim lies, from the page."""
    return f"figures/answer-{claim.id}.svg"


def rows_of(claim: Kept) -> list[Row]:
    """The decisive parts of a claim that have an interval, for a forest plot."""
    return [_line(claim, part) for part in claim.parts if part.decisive and None not in figures(claim, part)]


def headlines(claims: Mapping[str, Kept]) -> list[Row]:
    """The claims on LayerNorm and BatchNorm in DQN, each under its title, at own best rates: the README's picture.

    At a common rate, which may suit one arm, no part decides alone (rule 6).
    """
    found: list[Row] = []
    for name in HEADLINES:
        if name in claims:
            claim = claims[name]
            fair = [line for line in rows_of(claim) if isinstance(line, Line) and line.name.endswith(OWN)]
            shorter = [replace(line, name=line.name.removesuffix(OWN)) for line in fair]
            found += [f"{claim.title}: {_verdict(claim)}", *shorter]
    return found


def figures(claim: Kept, part: KeptPart) -> Figures:
    """Estimate and interval in units of the margin, turned so that more is better for the treatment."""
    if part.scale == "error":
        return None, None, None
    estimate, low, high = (in_margins(x, part.margin, part.scale) for x in (part.estimate, part.low, part.high))
    return (minus(estimate), minus(high), minus(low)) if _lower(claim.id, part.name) else (estimate, low, high)


@cache
def _lower(claim: str, part: str) -> bool:
    """Whether a lower estimate is better: pages do not say it, the claim does."""
    found = shipped()[claim].claim.parts.get(part) if claim in shipped() else None
    if isinstance(found, Effect):
        return better(found.question, metric_of(found, found.metric, found.experiment.steps["full"])) == "lower"
    return isinstance(found, Cost)


def _line(claim: Kept, part: KeptPart) -> Line:
    # Two digits: pictures keep no more of any number.
    low, high = (f"{end:+.2f}" if end is not None else wording.NOTHING for end in (part.low, part.high))
    return Line(part.name, figures(claim, part), f"{part.estimate or 0:+.2f} [{low}, {high}]", COLOURS[part.outcome])


def _estimate(part: KeptPart) -> str:
    return wording.number(part.estimate, signed=True)


def _interval(part: KeptPart) -> str:
    if part.low is None:
        return wording.NOTHING
    return f"[{wording.number(part.low, signed=True)}, {wording.number(part.high, signed=True)}]"
