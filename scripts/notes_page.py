"""Write docs/notes.md, what the study notes say of each claim: python scripts/notes_page.py docs/notes.md"""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.study.claim.load import headlines, shipped_folder
from rlnorm.study.report import notes
from rlnorm.validation.options import read, typed


def main(target: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="TARGET")]]) -> None:
    """The sentence of the notes behind each claim, in English and Korean.

    Args:
        target: Write the page (Markdown) to this file.
    """
    raise_if_any(unwritable_file("the page", "TARGET", target))
    write_atomically(target, notes.page((line.id, line.title, line.notes) for line in headlines(shipped_folder())))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
