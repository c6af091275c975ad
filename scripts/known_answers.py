"""Put published results to the whole pipeline as claims, and write what it answers; finished runs are kept.

python scripts/known_answers.py --out runs/known --write docs/results/known/README.md

A page and the scores of each known answer are written beside the table.
"""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rlnorm.cli import guarded
from rlnorm.study.study import study
from rlnorm.validation.known import keep, page, requests
from rlnorm.validation.options import Options, read, show, typed

DEFAULTS = Options(Path("runs/known"))


def main(options: Annotated[Options, tyro.conf.arg(name="")] = DEFAULTS) -> None:
    """Run what is missing, judge, then print and write the pages."""
    options.check()
    result = study(requests(), options.out, jobs=options.jobs, console=Console())
    if options.write:
        keep(result, options.write.parent)
    show(page(result), options.write)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
