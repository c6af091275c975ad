"""Two studies side by side: what both say of the same part, and whether their intervals meet."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rlnorm.study.report import wording
from rlnorm.study.report.verdicts import Row, read


def verdicts(directory: Path) -> dict[tuple[str, str], Row]:
    """(claim, part) -> the row of DIR/verdicts.json. ConfigError where there is none or it is damaged."""
    return {(row["claim"], row["part"]): row for row in read(directory)}


def table(first: Path, second: Path) -> RenderableType:
    """Every part that both folders have, and how many each has alone."""
    a, b = verdicts(first), verdicts(second)
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for ratio in (3, 3, 3, 2):
        grid.add_column(ratio=ratio, overflow="fold")
    grid.add_row(*(Text(head, "dim") for head in ("claim, part", str(first), str(second), "")))
    both = [key for key in a if key in b]
    for claim, part in both:
        rows = a[claim, part], b[claim, part]
        grid.add_row(Text(f"{claim}, {part}"), *(Text(_said(row)) for row in rows), Text(difference(*rows)))
    alone = [
        f"{len(own.keys() - other.keys())} parts in {name} alone"
        for own, other, name in ((a, b, first), (b, a, second))
    ]
    changed = sum(rows_differ(a[key], b[key]) for key in both)
    return Group(grid, Text(f"{len(both)} parts in both, {changed} with another verdict; {', '.join(alone)}."))


def rows_differ(a: Row, b: Row) -> bool:
    """Whether two rows come to another verdict."""
    return a["verdict"] != b["verdict"]


def difference(a: Row, b: Row) -> str:
    """What differs between two rows of one part: the preset, the verdict, or intervals that do not meet."""
    found = [] if a["preset"] == b["preset"] else [f"{a['preset']} / {b['preset']}"]
    found += ["verdict differs"] if rows_differ(a, b) else []
    ends = [a["low"], a["high"], b["low"], b["high"]]
    if None not in ends and (a["low"] > b["high"] or b["low"] > a["high"]):
        found.append("intervals apart")
    return ", ".join(found) or "same"


def _said(row: Row) -> str:
    figures = wording.number(row["estimate"])
    if row["low"] is not None and row["high"] is not None:
        figures += f" [{wording.number(row['low'])}, {wording.number(row['high'])}]"
    return row["verdict"] if row["estimate"] is None else f"{row['verdict']} {figures}"
