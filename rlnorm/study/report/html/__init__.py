"""The report: one self-contained HTML page. No scripts, no network; figures are part of the page."""

from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from rlnorm.files import write_atomically
from rlnorm.study.judge.results import StudyResult
from rlnorm.study.report import wording
from rlnorm.study.report.html import forest, view

MADE_FROM = "<!-- made from {} -->\n"


def render(study: StudyResult) -> str:
    """The page as HTML. Everything that came from users is escaped."""
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["minus"] = _true_minus
    return environment.get_template("page.html").render(
        study=study,
        css=Markup(_file("page.css")),
        claims=view.claims(study),
        asked=view.asked(study),
        tally=wording.tally(study),
        warning=wording.half_trained(study),
        moment=wording.moment(study.created),
        duration=wording.duration(study.seconds),
        how_to_read=wording.HOW_TO_READ,
        meanings=wording.MEANINGS,
        axis=forest.axis(),
        examples=EXAMPLES,
        rlnorm=study.versions.get("rlnorm", version("rlnorm")),
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
    (forest.interval(2.2, 1.4, 3.0), "Clear of the margin: a difference that matters."),
    (forest.interval(0.1, -0.6, 0.8), "Inside the margin: no difference that matters."),
    (forest.interval(0.9, -0.3, 2.1), "Across the margin: still open."),
)


def _true_minus(text: str) -> str:
    return text.replace("-", "−")
