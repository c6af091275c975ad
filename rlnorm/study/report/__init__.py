"""The report: one self-contained HTML page. No scripts, no network; figures are part of the page."""

import os
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rlnorm.study import words
from rlnorm.study.report import forest, view
from rlnorm.study.results import StudyResult

HERE = Path(__file__).parent


def render(study: StudyResult) -> str:
    """The page as HTML. Everything that came from users is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["minus"] = _true_minus
    return environment.get_template("page.html").render(
        study=study,
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        claims=view.claims(study),
        asked=view.asked(study),
        tally=words.tally(study),
        warning=words.half_trained(study),
        moment=words.moment(study.created),
        duration=words.duration(study.seconds),
        how_to_read=words.HOW_TO_READ,
        meanings=words.MEANINGS,
        axis=forest.axis(),
        examples=EXAMPLES,
        rlnorm=study.versions.get("rlnorm", version("rlnorm")),
    )


def write(study: StudyResult, path: Path) -> None:
    """Write the page to `path`, whole or not at all; readers of an older page never see half of this one."""
    page = render(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


EXAMPLES = (
    (forest.interval(2.2, 1.4, 3.0), "Clear of the margin: a difference that matters."),
    (forest.interval(0.1, -0.6, 0.8), "Inside the margin: no difference that matters."),
    (forest.interval(0.9, -0.3, 2.1), "Across the margin: still open."),
)


def _true_minus(text: str) -> str:
    return text.replace("-", "−")
