"""Do with every module of rlnorm.nn what people do with modules, and write the page of what comes of it.

python scripts/compatibility.py --write docs/compatibility.md

Takes a minute or two on two cores, and the packages of `pip install 'rlnorm[compatibility]'`.
"""

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, unwritable_file
from rlnorm.validation.compatibility import CELLS, missing, outcomes, page


def main(target: Path) -> None:
    """Fill every cell, then write the page."""
    raise_if_any([*unwritable_file("the page", "--write", target), *missing()])
    console = Console(stderr=True)
    found = dict(track(outcomes(CELLS), "cells", total=len(CELLS), console=console))
    target.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, required=True, metavar="PAGE", help="where the page goes")
    given = parser.parse_args()
    sys.exit(guarded(lambda: main(given.write), shlex.join(["python", *sys.argv])))
