"""The page of compatibility: tables of outcomes written as Markdown, and read again."""

import re
from collections.abc import Iterable, Mapping

import torch

from rlnorm.validation.compatibility.outcome import Outcome, Use
from rlnorm.validation.compatibility.run import GROUPS, Cell
from rlnorm.validation.compatibility.subjects import SUBJECTS

HEAD = """# What people do with modules, done with ours

Made by `python scripts/compatibility.py --write docs/compatibility.md`, which does what each cell says and compares
values (torch {version}, on CPU). A row is a module of `rlnorm.nn`: a norm by its short name and what it is applied to,
or a class.

- **same**: as with torch.nn. Values equal those of torch's module for the same thing with the same state, used plainly;
  where torch has none, those of the module itself. Where torch's module refuses too, a note quotes its error.
- **otherwise**: it goes through and does something else; the note says what.
- **refused**: it raises, and torch's module, where there is one, does not; the note quotes the error.
- **–**: the use has no meaning for this module.
"""
WORDS = {"as torch.nn": "same", "otherwise": "otherwise", "refused": "refused", "nothing to do": "–"}
NOTE = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
ENTRY = re.compile(r"^(\S+)(?: \[(\d+)\])?$")
Entry = tuple[str, str]
"""A cell's word, and its note; empty where it has none."""


def entry(use: Use, found: Outcome) -> Entry:
    """What the page says of an outcome."""
    word = WORDS[found.kind]
    if not found.how:
        return word, ""
    instead = f" Instead: {use.instead}." if use.instead and word != "same" else ""
    return word, f"{found.how}.{instead}"


def page(outcomes: Mapping[Cell, Outcome]) -> str:
    """Outcomes of all cells -> the page."""
    first = 1
    sections = [HEAD.format(version=torch.__version__.partition("+")[0])]
    for heading, uses in GROUPS.items():
        notes: list[str] = []
        table = [_row(["module", *(use.name for use in uses)]), _row(["---", *(":-:" for _ in uses)])]
        table += [
            _row([name, *(_cell(entry(use, outcomes[use.name, name]), notes, first) for use in uses)])
            for name in SUBJECTS
        ]
        sections.append(f"## {heading}")
        sections.append("\n".join(f"- {use.name}: {use.what}." for use in uses))
        sections.append("\n".join(table))
        sections.append("\n".join(f"{i}. {note}" for i, note in enumerate(notes, first)))
        first += len(notes)
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(said: Entry, notes: list[str], first: int) -> str:
    """A cell's word with its note's number, the `first` being that of `notes[0]`; a new note is added to `notes`."""
    word, note = said
    if not note:
        return word
    if note not in notes:
        notes.append(note)
    return f"{word} [{notes.index(note) + first}]"


def read(text: str) -> dict[Cell, Entry]:
    """A page -> what it says of each cell."""
    notes = dict(NOTE.findall(text))
    found: dict[Cell, Entry] = {}
    columns: list[str] = []
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else [""]
        if first == "module":
            columns = cells
        elif first in SUBJECTS:
            for use, cell in zip(columns, cells, strict=True):
                if match := ENTRY.match(cell):
                    word, number = match.groups()
                    found[use, first] = word, notes.get(number, "")
    return found
