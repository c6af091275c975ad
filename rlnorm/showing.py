"""What a command shows at its end, in which language and where: shared by the commands that judge a study.

Imports stand in the functions: a command that shows no study loads neither torch nor stable-baselines3.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
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


def carry_out(
    requests: "Sequence[Request]", out: Path, jobs: int | None, per_seed: bool, shown: Shown, dry_run: bool
) -> None:
    """Run a study, or with `dry_run` say what it would do; show what came out."""
    from rlnorm import api
    from rlnorm.study.forecast import forecast
    from rlnorm.study.report.language import errors, speaking
    from rlnorm.study.study import Failed

    raise_if_any(errors(shown.lang))
    if dry_run:
        for line in forecast(requests, out).lines(jobs or os.cpu_count() or 1):
            console.print(line, markup=False, soft_wrap=True)
        return
    with speaking(shown.lang):
        try:
            result = api.ask(requests, out, jobs, shown.progress, per_seed)
        except Failed as error:
            conclude(error.result, out, shown)
            raise
        conclude(result, out, shown)


def conclude(result: "StudyResult", out: Path, shown: Shown) -> None:
    """Show the verdicts, and where everything lies."""
    from rlnorm.study.report import terminal, verdicts

    if shown.json:
        print(verdicts.short(result), end="")  # noqa: T201
    elif not shown.quiet:
        terminal.show(result, console, shown.verbose)
        console.print(f"\nReport:      {out / 'report.html'}", markup=False, soft_wrap=True)
        console.print(f"TensorBoard: rlnorm board {shlex.quote(str(out))}", markup=False, soft_wrap=True)


def judged(directory: Path, told: Console = console) -> "StudyResult":
    """What a folder holds, judged again; what cannot be is said."""
    from rlnorm.study.run import Store
    from rlnorm.study.run.history import asked_before
    from rlnorm.study.study import results

    raise_if_any(folder_errors(directory))
    asked, lost = asked_before(directory, shipped())
    for sentence in lost:
        told.print(sentence, style="yellow", markup=False)
    if not asked:
        raise ConfigError(f"{str(directory)!r} holds no claim that can be reported.")
    store = Store(directory, any_version=True)
    return results([(one, store) for one in asked])


def folder_errors(directory: Path) -> Iterator[str]:
    """The sentence if a folder holds no study."""
    if not (directory / "study.json").is_file():
        what = "holds no study" if directory.is_dir() else "is no folder"
        yield f"{str(directory)!r} {what}; expected a folder that `rlnorm run` or `rlnorm train` wrote."
