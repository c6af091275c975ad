"""Put every formula of the notes to the test and print a page of verdicts, each with its smallest counterexample.

python scripts/note_formulas.py --out runs/formulas
"""

import sys
from pathlib import Path

import tyro
from rich.console import Console

from rlnorm import api
from rlnorm.cli import guarded
from rlnorm.errors import ConfigError
from rlnorm.study.claim.load import named, shipped
from rlnorm.study.plan import Request
from rlnorm.study.report.formulas import page
from rlnorm.study.report.verdicts import listed
from rlnorm.validation.options import read, typed


def main(claims: tyro.conf.Positional[tuple[str, ...]] = (), out: Path = Path("runs/formulas"), jobs: int = 0) -> None:
    """Run the exact parts of the exact claims, and print the page.

    Args:
        claims: Only these; all where none is named.
        out: Folder of the results.
        jobs: Units that run at the same time; 0: one per core.
    """
    known = shipped()
    files = named(claims or list(known), known)
    requests = [one for each in files if (one := Request(each, "full").of_kind("exact"))]
    if not requests:
        raise ConfigError(f"none of {', '.join(claims)} is about a formula; `rlnorm run` tests them.")
    result = api.ask(requests, out, jobs or None, Console(stderr=True, highlight=False))
    print(page({one.id: one.claim for one in requests}, listed(result)), end="")


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
