"""What the scripts that make a page of results share: options, what can be wrong with them, and what is written."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rlnorm.errors import raise_if_any, too_few, unwritable_file
from rlnorm.study.store import write_atomically
from rlnorm.study.study import out_errors


def options(doc: str | None, out: str, **counts: int) -> argparse.Namespace:
    """Those typed: --jobs, --out and --write, and `counts` with their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {**counts, "jobs": os.cpu_count() or 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of finished runs, which are used again")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page there too")
    return parser.parse_args()


def typed() -> str:
    """The command as it was typed: what continues after an interruption."""
    return shlex.join(["python", *sys.argv])


def check(asked: argparse.Namespace) -> None:
    """Raise ConfigError for all that is wrong with options, before anything runs."""
    raise_if_any(_errors(vars(asked)))


def _errors(asked: Mapping[str, object]) -> Iterator[str]:
    yield from too_few({f"--{name}": value for name, value in asked.items() if isinstance(value, int)})
    if isinstance(out := asked["out"], Path):
        yield from out_errors(out)
    if isinstance(page := asked["write"], Path):
        yield from unwritable_file("the page", "--write", page)


def show(text: str, page: Path | None, figure: str | None = None) -> None:
    """Print a page and, where asked for, write it, and its figure (SVG) beside it under the same name."""
    if page:
        write_atomically(page, text)
    if page and figure:
        write_atomically(page.with_suffix(".svg"), figure)
    print(text)  # noqa: T201
