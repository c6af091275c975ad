"""What a command shows at its end, in which language and where: shared by the commands that judge a study.

Imports stand in the functions: a command that shows no study loads neither torch nor stable-baselines3.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.study.claim.load import shipped

if TYPE_CHECKING:
    from rlnorm.study.judge import StudyResult
    from rlnorm.study.plan import Request

console = Console(highlight=False)
Flag = tyro.conf.FlagCreatePairsOff[bool]
Language = Annotated[str, tyro.conf.arg(metavar="en|ko")]


@dataclass(frozen=True)
class Shown:
    """How results are shown.

    Attributes:
        verbose: Show every part with its reason, too.
        quiet: Show no progress and no verdicts; files are written all the same.
        json: Print the verdicts as JSON to standard output and nothing else; progress goes to standard error.
        lang: Language of the verdicts and of the report: en or ko.
    """

    verbose: Flag = False
    quiet: Flag = False
    json: Flag = False
    lang: Language = "en"

    @property
    def progress(self) -> Console:
        """Where the way of the work is told."""
        return Console(highlight=False, stderr=True, quiet=self.quiet) if self.json or self.quiet else console


def text_width() -> int:
    """Columns of the terminal, at most a hundred: longer lines are hard to read."""
    return min(console.width, 100)


def carry_out(
    requests: "Sequence[Request]",
    out: Path,
    jobs: int | None,
    per_seed: bool,
    patience: float,
    shown: Shown,
    dry_run: bool,
    backend: str = "local",
    address: str | None = None,
) -> None:
    """Run a study, or with `dry_run` say what it would do; show what came out."""
    from rlnorm import api
    from rlnorm.study.forecast import forecast
    from rlnorm.study.report.language import errors, speaking
    from rlnorm.study.study import Failed

    raise_if_any(errors(shown.lang))
    if dry_run:
        warn(console, api.remarks(requests))
        for line in forecast(requests, out).lines(jobs or os.cpu_count() or 1):
            console.print(line, markup=False, soft_wrap=True)
        return
    with speaking(shown.lang):
        try:
            result = api.ask(requests, out, jobs, shown.progress, per_seed, patience, backend, address)
        except Failed as error:
            conclude(error.result, out, shown)
            raise
        conclude(result, out, shown)


def conclude(result: "StudyResult", out: Path, shown: Shown) -> None:
    """Show the verdicts, and where everything lies."""
    from rlnorm.study.report import terminal, verdicts
    from rlnorm.study.run.rows import pretty

    if shown.json:
        print(pretty(verdicts.rows(result)), end="")  # noqa: T201
    elif not shown.quiet:
        terminal.show(result, console, shown.verbose)
        console.print(f"\nReport:      {out / 'report.html'}", markup=False, soft_wrap=True)
        console.print(f"TensorBoard: rlnorm board {shlex.quote(str(out))}", markup=False, soft_wrap=True)


def judged(directory: Path, told: Console = console, trust: bool = False) -> "StudyResult":
    """What a folder holds, judged again; what cannot be is said. `trust`: run files that were never named here, too."""
    from rlnorm.study.plan import plan
    from rlnorm.study.run import Store
    from rlnorm.study.run.history import asked_before
    from rlnorm.study.study import not_there, results

    raise_if_any(folder_errors(directory))
    asked, lost = asked_before(directory, shipped(), trust)
    warn(told, lost)
    if not asked:
        raise ConfigError(f"{str(directory)!r} holds no claim that can be reported.")
    store = Store(directory, any_version=True)
    plans = [plan(one, store.records) for one in asked]
    missing, planned = not_there(plans, store)
    if missing == planned and planned:
        raise ConfigError(f"{str(directory)!r} holds no finished unit of what was asked; its report is left as it is.")
    if missing:
        said = f"{missing} of {planned} units are not there: what they decide is insufficient. `rlnorm run` does them."
        warn(told, [said])
    result = results([(each, store) for each in plans])
    warn(told, store.left_out())
    return result


def warn(told: Console, sentences: Iterable[str]) -> None:
    """Say each sentence on a line of its own."""
    for sentence in sentences:
        told.print(sentence, style="yellow", markup=False, soft_wrap=True)


def folder_errors(directory: Path) -> Iterator[str]:
    """The sentence if a folder holds no study."""
    if not any((directory / name).exists() for name in ("study.json", "units")):
        what = "holds no study" if directory.is_dir() else "is no folder"
        yield f"{str(directory)!r} {what}; expected a folder that `rlnorm run` or `rlnorm train` wrote."
