"""What the scripts that make a page of results share: their options, what can be wrong with them, and the page."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from rlnorm.errors import raise_if_any, too_few, unwritable_file
from rlnorm.files import write_atomically
from rlnorm.stops import listen
from rlnorm.study.study import out_errors

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """Options of a script that makes a page.

    Args:
        out: Folder of finished runs, which are used again.
        jobs: Units that run at the same time.
        write: Write the page to this file too.
    """

    out: Path
    jobs: int = CORES
    write: Path | None = None

    def check(self, **counts: int) -> None:
        """Raise ConfigError for everything that is wrong with the options, and with `counts` beside them."""
        raise_if_any(self._errors({**{f"--{name}": value for name, value in counts.items()}, "--jobs": self.jobs}))

    def _errors(self, counts: Mapping[str, int]) -> Iterator[str]:
        yield from too_few(counts)
        yield from out_errors(self.out)
        if self.write is not None:
            yield from unwritable_file("the page", "--write", self.write)


def read(main: Callable[..., None], doc: str | None) -> Callable[[], None]:
    """`main` with its arguments read from the command line; its signature declares the options, `doc` is the help.

    SIGTERM and a closed terminal end it as Ctrl-C does.
    """

    def do() -> None:
        listen()
        tyro.cli(main, description=doc)

    return do


def typed() -> str:
    """The command as it was typed, which continues after an interruption."""
    return shlex.join(["python", *sys.argv])


def show(text: str, page: Path | None, figure: str | None = None) -> None:
    """Print a page and, where asked for, write it, and its figure (SVG) beside it under the same name."""
    if page:
        write_atomically(page, text)
    if page and figure:
        write_atomically(page.with_suffix(".svg"), figure)
    print(text)  # noqa: T201
