"""Do what people do with modules with every module of rlnorm.nn, and write a page of the outcomes.

python scripts/compatibility.py --write docs/compatibility.md

Takes a minute or two on two cores. Needs the packages of `pip install 'rlnorm[compatibility]'`.
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.validation.compatibility import CELLS, missing, outcomes, page
from rlnorm.validation.options import read, typed


def main(write: Path) -> None:
    """Fill every cell, then write the page.

    Args:
        write: Write the page to this file.
    """
    raise_if_any([*unwritable_file("the page", "--write", write), *missing()])
    console = Console(stderr=True)
    found = dict(track(outcomes(CELLS), "cells", total=len(CELLS), console=console))
    write_atomically(write, page(found))


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
