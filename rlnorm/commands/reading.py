"""Commands that read what is there: `list | show | export | power | compare`.

Each imports what it needs where it needs it: `rlnorm list` loads neither torch nor stable-baselines3.
"""

from pathlib import Path
from typing import Annotated

import tyro

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.showing import Flag, Language, console, folder_errors, judged, text_width
from rlnorm.study.claim.load import ClaimFile, headlines, named, shipped, shipped_folder


def list_claims() -> None:
    """List all claims: id, kind, the notes that make them, the title."""
    for line in headlines(shipped_folder()):
        _print(f"{line.id}  ({line.kind}; {', '.join(line.notes) or 'no note'})\n    {line.title}")


def show(
    claim: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="CLAIM")]],
    /,
    *,
    results: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    lang: Language = "en",
) -> None:
    """Show one claim: what is tested, how, and against which margin; or what came out.

    Args:
        claim: Its id (see `rlnorm list`), or the path of a file with a claim of your own.
        results: Folder of a study: show what it found, every part with its reason.
        lang: Language: en or ko.
    """
    from rlnorm.study.report import describe, terminal
    from rlnorm.study.report.language import errors, speaking

    raise_if_any(errors(lang))
    found = _sound(claim)
    with speaking(lang):
        if results is None:
            _print(describe.page(found, text_width()))
            return
        claims = [each for each in judged(results).claims if each.id == found.id]
        if not claims:
            raise ConfigError(f"{str(results)!r} holds nothing of {found.id}; `rlnorm run {found.name}` runs it.")
        for block in terminal.parts(claims[0]):
            console.print(block)


def _sound(claim: str) -> ClaimFile:
    """The claim of that id or path. Raises ConfigError with all that is wrong with one of a person's own."""
    from rlnorm.study.claim.validate import claim_errors

    (found,) = named([claim], shipped())
    raise_if_any(f"{found.id}: {sentence}" for sentence in claim_errors(found.claim) if found.own)
    return found


def _print(text: str) -> None:
    """Text that is already wrapped, its first line in bold on a terminal."""
    head, _, rest = text.partition("\n")
    console.print(head, style="bold", markup=False, soft_wrap=True)
    console.print(rest, markup=False, soft_wrap=True)


def export(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    csv: Flag = False,
    parquet: Flag = False,
    to: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
) -> None:
    """Write every record of a study in tidy form, a line a number, for other tools.

    Args:
        directory: Folder of a study.
        csv: As CSV, which is what is written where nothing is said.
        parquet: As Parquet; needs pyarrow.
        to: File to write; DIR/records.csv or DIR/records.parquet where not given.
    """
    from rlnorm.errors import unwritable_file
    from rlnorm.study.report import export

    target = to or directory / f"records.{'parquet' if parquet else 'csv'}"
    both = ["--csv and --parquet exclude each other."] if csv and parquet else []
    raise_if_any([*folder_errors(directory), *both, *([] if to is None else unwritable_file("records", "--to", to))])
    lines = (export.to_parquet if parquet else export.to_csv)(directory, target)
    console.print(f"{lines} lines: {target}", markup=False, soft_wrap=True)


def power(
    claim: tyro.conf.Positional[str],
    /,
    *,
    effect: float | None = None,
    results: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Say how many runs an arm each part of a claim needs to be decided.

    It is then decided in four of five studies.

    Args:
        claim: Its id (see `rlnorm list`), or the path of a file with a claim of your own.
        effect: True benefit of the treatment, in the unit of the score (a factor for ratios). Where not given, twice
            the margin where a part asks for better, else none.
        results: Folder of a study whose scores tell the spread; the kept scores of docs/results where not given.
    """
    from rlnorm.study.report import needed
    from rlnorm.study.report.csv import samples
    from rlnorm.study.report.kept import scores_of

    found = _sound(claim)
    file = scores_of(found.id) if results is None else results / found.id / "scores.csv"
    if not file.is_file():
        raise ConfigError(f"no scores of {found.id} are known: {str(file)!r} is not there; `rlnorm run` makes some.")
    for line in needed.table(found.claim, samples(file), effect):
        console.print(line, markup=False, soft_wrap=True)


def compare(first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path], /) -> None:
    """Show two studies side by side: the verdicts of all parts that both hold.

    Args:
        first: Folder of a study.
        second: Folder of another.
    """
    from rlnorm.study.report import compare

    console.print(compare.table(first, second))
