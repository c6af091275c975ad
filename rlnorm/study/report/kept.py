"""The answers that are kept in docs/results, read from their pages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import cast

from rlnorm.study.judge.verdict import Outcome
from rlnorm.study.report import wording

FOLDER = Path(__file__).parents[3] / "docs" / "results"
"""In a checkout; an installed package has none."""
EARLIER = "earlier"
"""The folder inside it with answers to claims that have been declared anew since, until these are run."""


@dataclass(frozen=True)
class KeptPart:
    """One row of a page's table of verdicts; `low` and `high` are None where there is no interval."""

    name: str
    outcome: Outcome
    estimate: float | None
    low: float | None
    high: float | None
    margin: float | None
    runs: int | None
    decisive: bool
    scale: wording.Scale


@dataclass(frozen=True)
class Kept:
    """What a page says of its claim: what happened in a sentence, and the figure of the part that says most.

    earlier   whether the claim has been declared anew since
    """

    id: str
    title: str
    outcome: Outcome
    answer: str
    most: str
    command: str
    parts: tuple[KeptPart, ...]
    earlier: bool = False

    @property
    def page(self) -> str:
        """Where its page lies, from the folder of results."""
        return f"{EARLIER}/{self.id}.md" if self.earlier else f"{self.id}.md"


def read(text: str) -> Kept | None:
    """A page that `markdown.page` wrote; None for any other page."""
    head, verdict = re.match(r"# ([\w-]+): (.+)", text), re.search(r"\n\*\*(\w+)\.\*\*", text)
    table = text.partition("| part | verdict |")[2].partition("\n\n")[0]
    if not head or not verdict or not table:
        return None
    told = " ".join(text[verdict.end() :].partition("\n\n")[0].split())
    answer, _, most = told.partition(" Says most: ")
    command = re.search(r"Command: `([^`]+)`", " ".join(text.split()))
    return Kept(
        head[1],
        head[2],
        cast(Outcome, verdict[1].lower()),
        answer,
        most.removesuffix("."),
        command[1] if command else "",
        tuple(map(_part, table.splitlines()[2:])),
    )


def _part(line: str) -> KeptPart:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    name, outcome, estimate, interval, margin, runs, *_ = (cell.strip().replace("\\|", "|") for cell in cells)
    ends = [*_numbers(interval), None, None] if interval.startswith("[") else [None, None]
    return KeptPart(
        name.removesuffix(" (beside)"),
        cast(Outcome, outcome),
        next(iter(_numbers(estimate)), None),
        ends[0],
        ends[1],
        next(iter(_numbers(margin)), None),
        int(count) if (count := runs.partition(" ")[0]).isdecimal() else None,
        not name.endswith(" (beside)"),
        "ratio" if "×" in estimate + margin else "difference" if interval.startswith("[") else "error",
    )


def _numbers(text: str) -> list[float | None]:
    return [float(each) for each in re.findall(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?", text)]


@cache
def answers(folder: Path = FOLDER) -> Mapping[str, Kept]:
    """claim -> the answer that stands, for every claim that has a page in `folder`; else the earlier one."""
    earlier = {claim: replace(page, earlier=True) for claim, page in _pages(folder / EARLIER).items()}
    return {**earlier, **_pages(folder)}


def scores_of(claim: str, folder: Path = FOLDER) -> Path:
    """The file with a claim's kept scores, the earlier one where there is no other; it may not exist."""
    own, earlier = folder / f"{claim}.csv", folder / EARLIER / f"{claim}.csv"
    return earlier if earlier.is_file() and not own.is_file() else own


def _pages(folder: Path) -> dict[str, Kept]:
    found = [read(path.read_text("utf-8")) for path in sorted(folder.glob("*.md"))]
    return {page.id: page for page in found if page and page.outcome in wording.OUTCOMES}
