"""Put every formula of the notes to the test and print a page of verdicts, each with its smallest counterexample.

python scripts/note_formulas.py --out runs/formulas
"""

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from rlnorm import api
from rlnorm.cli import guarded
from rlnorm.errors import ConfigError
from rlnorm.study.assess import Asked
from rlnorm.study.exact import page
from rlnorm.study.study import verdicts


def put_to_the_test(claims: list[str], out: Path, jobs: int | None) -> None:
    """Run the exact parts of the exact claims, and print the page."""
    known = api.find_claims()
    found = api.find_named(claims or list(known), known)
    asked = [one for each in found if (one := Asked(each, "full").of_kind("exact"))]
    if not asked:
        raise ConfigError(f"none of {', '.join(claims)} is about a formula; `rlnorm run` tests them.")
    result = api.ask(asked, out, jobs, Console(stderr=True, highlight=False))
    print(page({one.found.id: one.claim for one in asked}, verdicts(result)), end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=Path("runs/formulas"))
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    command = shlex.join(["python", *sys.argv])
    sys.exit(guarded(lambda: put_to_the_test(given.claims, given.out, given.jobs), command))
