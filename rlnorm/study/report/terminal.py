"""Verdicts for the terminal: one line a claim first, the parts of a claim where they are asked for."""

from collections.abc import Iterator, Mapping
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rlnorm.study.judge import ClaimResult, Outcome, PartResult, StudyResult
from rlnorm.study.report import answers, kept, wording
from rlnorm.study.report.language import t

STYLES: dict[Outcome, str] = {
    "supported": "bold blue",
    "refuted": "bold red",
    "inconclusive": "yellow",
    "insufficient": "dim",
}
PREVIEW = "magenta"
# Wide enough for "[-0.123, -0.456]" and the longest verdict; the part's name takes what is left of the line.
COLUMNS = (("estimate", 8), ("interval", 16), ("margin", 6), ("runs", 5), ("verdict", 21))
DOCS = "docs/evidence.md"


def table(study: StudyResult, verbose: bool = False, stands: Mapping[str, kept.Kept] | None = None) -> RenderableType:
    """What was found, a line a claim; with `verbose` every part. `stands`: the kept answers, None: those of docs."""
    if not study.claims:
        return Text(t("No claim has been run yet: there is no verdict to show."))
    stands = kept.answers() if stands is None else stands
    blocks: list[RenderableType] = [overview(study, stands), *_below(study, stands)]
    if verbose:
        blocks += [Text(), *(block for result in study.claims for block in parts(result))]
    return Group(*blocks)


def show(study: StudyResult, console: Console | None = None, verbose: bool = False) -> None:
    """Print the table; colours and styles only where the console is a terminal."""
    (console or Console()).print(table(study, verbose))


def text(study: StudyResult, width: int = 80, verbose: bool = False) -> str:
    """The table as plain text of at most `width` columns."""
    return plain(table(study, verbose), width)


def plain(block: RenderableType, width: int = 80) -> str:
    """Anything that rich can print, as plain text of at most `width` columns."""
    out = StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False).print(block)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def overview(study: StudyResult, stands: Mapping[str, kept.Kept]) -> RenderableType:
    """One line a claim: title, verdict or preview, estimate with interval, runs, the kept answer where there is one."""
    any_kept = any(result.id in stands for result in study.claims)
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(ratio=1, overflow="fold")
    for name in ("answer", "estimate", "runs", *(["kept"] if any_kept else [])):
        grid.add_column(no_wrap=True, justify="right" if name in ("estimate", "runs") else "left")
    heads = [t("claim"), t("answer"), t("estimate"), t("runs"), *([t("kept")] if any_kept else [])]
    grid.add_row(*(Text(head, "dim") for head in heads))
    for result in study.claims:
        part = answers.decider(result)
        scale = answers.scale_of(result, part) if part else "difference"
        figures = (answers.brief(part.verdict, scale), answers.runs(part.verdict, scale)) if part else ("–", "–")
        known = stands.get(result.id)
        stood = [Text(_kept(known) if known else "", STYLES[known.outcome] if known else "")] * any_kept
        answer = _answer(result)
        grid.add_row(Text(answers.title(result)), answer, *map(Text, figures), *stood)
    return grid


def _kept(known: kept.Kept) -> str:
    """A kept answer as one sign, in brackets where the claim has been declared anew since."""
    sign = {"supported": "✓", "refuted": "✗", "inconclusive": "?", "insufficient": "…"}[known.outcome]
    return f"({sign})" if known.earlier else sign


def _answer(result: ClaimResult) -> Text:
    """A claim's verdict or preview; a preview of some of the parts that decide it has a mark."""
    said = _outcome(result.overall.outcome, answers.is_preview_of(result))
    return said.append(" *") if answers.in_part(result) else said


def _below(study: StudyResult, stands: Mapping[str, kept.Kept]) -> Iterator[RenderableType]:
    """How to read it, that a preview is one, and what each sign that is shown means."""
    yield Rule(style="dim")
    warning = wording.half_trained(study)
    if warning:
        yield Text(warning, style=PREVIEW)
    if any(map(answers.in_part, study.claims)):
        yield Text(t("*: of some of the parts that decide the claim; 'full' runs the others too."), style=PREVIEW)
    if any(result.id in stands and stands[result.id].earlier for result in study.claims):
        yield Text(t("Kept in brackets: the answer to an earlier design of the claim."), "dim")
    yield Text(t("Estimate: treatment minus reference (×: ratio) in the part that decides."), "dim")
    yield Text(t("Parts: rlnorm show ID --results DIR. Kept: docs/results. Rules: {docs}", docs=DOCS), "dim")


def parts(result: ClaimResult) -> Iterator[RenderableType]:
    """A claim in full: what was tested, its answer, and every part with its figures and reason."""
    yield Rule(style="dim")
    head = Table.grid(padding=(0, 2, 0, 0), expand=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True)
    head.add_row(Text(f"{result.id}: {answers.title(result)}", "bold"), _answer(result))
    yield head
    yield Text(result.claim.statement)
    yield Text(answers.sentence(result))
    if wording.has_groups(result):
        yield _reason(wording.sentence(result.overall.judgement.reason), indent=4)
    heads = _grid()
    heads.add_row(Text(t("its parts")), *(Text(t(name)) for name, _ in COLUMNS), style="dim")
    yield heads
    for part in result.parts:
        yield from _part(result, part)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(ratio=1, overflow="fold")
    for name, width in COLUMNS:
        grid.add_column(width=width, justify="left" if name == "verdict" else "right", no_wrap=name == "verdict")
    return grid


def _part(result: ClaimResult, part: PartResult) -> Iterator[RenderableType]:
    verdict, scale = part.verdict, answers.scale_of(result, part)
    preview = answers.is_preview(verdict)
    row = _grid()
    row.add_row(
        Padding(Text(part.name + wording.beside(result.claim, part.name)), (0, 0, 0, 2)),
        wording.estimate(verdict, scale),
        wording.interval(verdict, scale).replace("[", r"\["),
        wording.margin(verdict, scale),
        wording.seeds(verdict, scale),
        Text(answers.in_short(verdict, preview), _style(verdict.outcome, preview)),
    )
    yield row
    if verdict.judgement.diverged:
        text = t("{percent} of both arms' runs diverged.", percent=wording.percent(verdict.judgement.diverged))
        yield _reason(text, indent=4)
    if verdict.judgement.reason:
        yield _reason(wording.sentence(verdict.judgement.reason), indent=4)
    numbers = wording.counterexample(verdict)
    if numbers:
        listed = "; ".join(f"{name} = {number}" for name, number in numbers)
        yield _reason(t("Smallest counterexample") + f": {listed}.", indent=4)


def _outcome(outcome: Outcome, preview: bool) -> Text:
    return Text(answers.word(outcome, preview), _style(outcome, preview))


def _style(outcome: Outcome, preview: bool) -> str:
    return PREVIEW if preview and outcome != "insufficient" else STYLES[outcome]


def _reason(sentence: str, indent: int) -> RenderableType:
    return Padding(Text(sentence, style="dim"), (0, 0, 0, indent))
