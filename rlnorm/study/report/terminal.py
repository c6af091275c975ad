"""The table of verdicts for the terminal: one block per claim, its parts as rows, the reasons under them."""

from collections.abc import Iterable, Iterator
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rlnorm.study.judge.results import ClaimResult, PartResult, StudyResult
from rlnorm.study.judge.verdict import Outcome
from rlnorm.study.report import verdicts, wording

STYLES: dict[Outcome, str] = {
    "supported": "bold blue",
    "refuted": "bold red",
    "inconclusive": "yellow",
    "insufficient": "dim",
}
# Wide enough for "[-0.123, -0.456]" and the longest outcome; the part's name takes what is left of the line.
COLUMNS = (("estimate", 8), ("interval", 16), ("margin", 6), ("seeds", 5), ("verdict", 12))


def table(study: StudyResult) -> RenderableType:
    """All verdicts of a study, for any rich console of 80 columns or more."""
    if not study.claims:
        return Text("No claim has been run yet: there is no verdict to show.")
    return Group(_heads(), *(block for claim in study.claims for block in _claim(claim)), *_below(study))


def show(study: StudyResult, console: Console | None = None) -> None:
    """Print the table; colours and styles only where the console is a terminal."""
    (console or Console()).print(table(study))


def text(study: StudyResult, width: int = 80) -> str:
    """The table as plain text of at most `width` columns."""
    out = StringIO()
    show(study, Console(file=out, width=width, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(ratio=1, overflow="fold")
    for name, width in COLUMNS:
        grid.add_column(width=width, justify="left" if name == "verdict" else "right", no_wrap=name == "verdict")
    return grid


def _heads() -> RenderableType:
    heads = _grid()
    heads.add_row(Text("claim and its parts"), *(Text(name) for name, _ in COLUMNS), style="dim")
    return heads


def _claim(result: ClaimResult) -> Iterator[RenderableType]:
    yield Rule(style="dim")
    head = Table.grid(padding=(0, 2, 0, 0), expand=True)
    head.add_column(ratio=1)
    head.add_column(width=COLUMNS[-1][1], no_wrap=True)
    head.add_row(Text(result.id, "bold"), _outcome(result.overall.outcome))
    yield head
    yield Text(result.claim.statement)
    if wording.has_groups(result):
        yield _reason(wording.sentence(result.overall.judgement.reason), indent=4)
    for part in result.parts:
        yield from _part(result, part)


def _part(result: ClaimResult, part: PartResult) -> Iterator[RenderableType]:
    verdict, scale = part.verdict, wording.scale_of(result.claim.parts.get(part.name))
    row = _grid()
    row.add_row(
        Padding(Text(part.name + wording.beside(result.claim, part.name)), (0, 0, 0, 2)),
        wording.estimate(verdict, scale),
        wording.interval(verdict, scale).replace("[", r"\["),
        wording.margin(verdict, scale),
        wording.seeds(verdict, scale),
        _outcome(verdict.outcome),
    )
    yield row
    if verdict.judgement.diverged:
        yield _reason(f"{wording.percent(verdict.judgement.diverged)} of both arms' runs diverged.", indent=4)
    if verdict.judgement.reason:
        yield _reason(wording.sentence(verdict.judgement.reason), indent=4)
    numbers = wording.counterexample(verdict)
    if numbers:
        listed = "; ".join(f"{name} = {number}" for name, number in numbers)
        yield _reason(f"Smallest counterexample: {listed}.", indent=4)


def _outcome(outcome: Outcome) -> Text:
    return Text(outcome, style=STYLES[outcome])


def _reason(sentence: str, indent: int) -> RenderableType:
    return Padding(Text(sentence, style="dim"), (0, 0, 0, indent))


def _below(study: StudyResult) -> Iterable[RenderableType]:
    yield Rule(style="dim")
    count = ", ".join(f"{n} {outcome}" for outcome, n in wording.tally(study).items() if n)
    yield Text(f"{len(study.claims)} {'claim' if len(study.claims) == 1 else 'claims'}: {count}.")
    warning = wording.half_trained(study)
    if warning:
        yield Text(warning, style="bold yellow")
    yield Text("\nHow to read this", style="bold")
    for sentence in wording.HOW_TO_READ:
        yield _reason(sentence, indent=2)
    found = {verdict.outcome for verdict in verdicts.listed(study)}
    for outcome in wording.OUTCOMES:
        if outcome in found:
            yield Padding(Text.assemble((f"{outcome:<14}", STYLES[outcome]), wording.MEANINGS[outcome]), (0, 0, 0, 2))
