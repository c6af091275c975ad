"""The report: one self-contained HTML page, without network. Its script draws, filters and saves; tables hold all."""

import re
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from rlnorm.files import write_atomically
from rlnorm.study.judge.results import StudyResult
from rlnorm.study.report import wording
from rlnorm.study.report.html import forest, style, view
from rlnorm.study.report.html.data import Data
from rlnorm.study.report.language import spoken, t

MADE_FROM = "<!-- made from {} -->\n"


def render(study: StudyResult) -> str:
    """The page as HTML. Everything that came from users is escaped."""
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["minus"] = _true_minus
    figures = [part.arms.keys() for claim in study.claims for part in claim.parts]
    data = Data(style.colours((arm for arms in figures for arm in arms), figures))
    claims = view.claims(study, data)
    rows = [row for claim in claims for row in claim.decisive]
    return environment.get_template("page.html").render(
        study=study,
        t=t,
        lang=spoken(),
        css=Markup(_file("page.css")),
        script=Markup(_file("page.js")),
        data=data.text({name: t(text) for name, text in SAY.items()}),
        forest=forest,
        reach=view.reach(study),
        claims=claims,
        groups=view.grouped(claims),
        notes=sorted({note for claim in claims for note in claim.notes}),
        kinds=dict.fromkeys(claim.kind for claim in claims),
        compared=[replace(row, name=row.full) for row in rows if not row.exact],
        open_parts=len(rows) <= OPEN,
        asked=view.asked(study),
        tally=view.tally(claims),
        warning=wording.half_trained(study),
        moment=wording.moment(study.created),
        duration=wording.duration(study.seconds),
        how_to_read=wording.HOW_TO_READ,
        meanings=wording.MEANINGS,
        examples=[(forest.interval(*figures, t(line)), line) for figures, line in EXAMPLES],
    )


def write(study: StudyResult, path: Path, made_from: str = "") -> None:
    """Write the page to `path`, whole or not at all: a reader of an older page never sees half of this one.

    `made_from` is a hash of what it is made from; see `made_from`.
    """
    write_atomically(path, render(study) + MADE_FROM.format(made_from))


def made_from(path: Path) -> str | None:
    """What a page on the disk says it was made from."""
    with suppress(OSError):
        begin, _, end = MADE_FROM.partition("{}")
        text = path.read_text(encoding="utf-8", errors="replace")
        return text.rpartition(begin)[2].removesuffix(end)
    return None


def _file(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")


EXAMPLES = (
    ((2.2, 1.4, 3.0), "Clear of the margin: a difference that matters."),
    ((0.1, -0.6, 0.8), "Inside the margin: no difference that matters."),
    ((0.9, -0.3, 2.1), "Across the margin: still open."),
)
SAY = {
    "csv": "Save as CSV",
    "seeds": "Show every run",
    "scores": "score of every run",
    "mean": "mean",
    "last": "at the end",
    "log": "log axis",
    "shown": "{count} of {total} claims shown",
    "note": "Lines: mean over whole runs with its 95 % band; thin and dashed: mean of the runs still going after "
    "others diverged. Points: runs; crosses: diverged runs; diamond: mean with its 95 % interval; "
    "shade: reference ± margin.",
}
"""What the page's script says."""
OPEN = 12
"""With no more decisive parts than these, every part stands open from the start."""


def _true_minus(text: str) -> str:
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)
