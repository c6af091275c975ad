"""Draw the picture of the README and write docs/answers.md and the index of docs/results from the kept results.

python scripts/answers_page.py docs/answers.md docs/figures/answers.svg
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from matplotlib.figure import Figure

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.study.claim.load import headlines, shipped_folder
from rlnorm.study.report import gallery, pictures
from rlnorm.study.report.html.figures import picture
from rlnorm.study.report.kept import FOLDER, answers
from rlnorm.validation.options import read, typed


def main(
    page: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="PAGE")]],
    target: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="PICTURE")]],
) -> None:
    """Every kept answer with its parts as a picture and a table; the headline claims in one picture.

    Args:
        page: Write the page (Markdown) to this file, and the pictures it shows to figures/ beside it.
        target: Write the picture of the headline claims (SVG) to this file.
    """
    raise_if_any([*unwritable_file("the page", "PAGE", page), *unwritable_file("the picture", "PICTURE", target)])
    found = answers()
    write_atomically(page, gallery.page(found.values()))
    listed = FOLDER / "README.md"
    write_atomically(listed, gallery.indexed(listed.read_text("utf-8"), found, headlines(shipped_folder())))
    for claim in found.values():
        write_atomically(page.parent / gallery.figure_of(claim), drawn(gallery.rows_of(claim)))
    write_atomically(target, drawn(gallery.headlines(found)))


def drawn(rows: Sequence[gallery.Row]) -> str:
    """A forest plot as an SVG file."""

    def draw(figure: Figure) -> None:
        pictures.forest(figure.add_subplot(), rows)

    return picture(draw, (8.6, 1.0 + 0.27 * len(rows)))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
