"""The command line: `rlnorm list | show | run | report | verify | board | train | check-norm | check-claim | doctor`.

Exit codes: 0 done; 1 some units failed, a law is broken, or the doctor found a fault; 2 bad input, nothing written;
3 the doctor could not examine the model; 130 interrupted, 143 or 129 told to end by SIGTERM or SIGHUP, everything
finished is kept.

Each command imports what it needs: `rlnorm list` and `--help` load neither torch nor stable-baselines3.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import tyro
from rich.console import Console

from rlnorm.errors import ConfigError, raise_if_any, unknown, unwritable
from rlnorm.stops import exit_code
from rlnorm.study.claim import PRESETS, DQNEngine, Kind, Preset
from rlnorm.study.claim.dqn_setting import COMPARISON_STEPS
from rlnorm.study.claim.load import ClaimFile, by_path, headlines, named, shipped, shipped_folder

if TYPE_CHECKING:
    from rlnorm.study.judge import StudyResult
    from rlnorm.study.plan import Request

KINDS: tuple[Kind, ...] = get_args(Kind)
app = tyro.extras.SubcommandApp()
console = Console(highlight=False)

# Counts and names are read as they are and checked by us: every error in one sentence, all at once.
Count = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Seconds = Annotated[float, tyro.conf.arg(metavar="SECONDS")]


@app.command(name="list")
def list_claims() -> None:
    """List all claims: id, kind, the notes that make them, the title."""
    for line in headlines(shipped_folder()):
        _print(f"{line.id}  ({line.kind}; {', '.join(line.notes) or 'no note'})\n    {line.title}")


@app.command
def show(claim: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="CLAIM")]], /) -> None:
    """Show one claim: what is tested, how, and against which margin.

    Args:
        claim: Its id (see `rlnorm list`), or the path of a file with a claim of your own.
    """
    from rlnorm.study.report import describe

    _print(describe.page(named([claim], shipped())[0], _width()))


def _print(text: str) -> None:
    """Text that is already wrapped, its first line in bold on a terminal."""
    head, _, rest = text.partition("\n")
    console.print(head, style="bold", markup=False, soft_wrap=True)
    console.print(rest, markup=False, soft_wrap=True)


def _width() -> int:
    return min(console.width, 100)


@app.command
def run(
    claims: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="[CLAIM ...]", help_behavior_hint="")]
    ] = (),
    /,
    *,
    part: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None,
    preset: str = "quick",
    seeds: Count = None,
    engine: Annotated[str | None, tyro.conf.arg(metavar="ENGINE")] = None,
    jobs: Count = None,
    out: Folder = Path("runs/study"),
    per_seed: bool = False,
    patience: Seconds = 600.0,
) -> None:
    """Test claims: train what is missing, judge, write report and verdicts.

    Args:
        claims: Their ids (see `rlnorm list`), or paths of files with claims of your own. None with --kind: all.
        part: Only this part, or this group of parts (may be given several times).
        kind: Only parts of this kind: exact, cost or effect (see `rlnorm show`).
        preset: Size of the runs: smoke, quick or full.
        seeds: Judged seeds per arm; the preset's number where not given.
        engine: Run DQN arms through this engine instead of our own: sb3 (stable-baselines3 with our layers).
        jobs: Units that run at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
    """
    from rlnorm.api import patience_errors

    available = shipped()
    counts = {"--seeds": seeds, "--jobs": jobs}
    wrong = _run_errors(claims, part, kind, preset, engine, counts, out, available)
    raise_if_any([*wrong, *patience_errors(patience)])
    _study(_requests(claims, part, kind, preset, seeds, engine, available), out, jobs, per_seed, patience)


def _requests(
    claims: Sequence[str],
    part: Sequence[str],
    kind: str | None,
    preset: str,
    seeds: int | None,
    engine: str | None,
    available: Mapping[str, ClaimFile],
) -> "list[Request]":
    from rlnorm.study.plan import Request

    files = named(claims or list(available), available)
    asked = [Request(each, cast(Preset, preset), tuple(part), seeds, cast(DQNEngine | None, engine)) for each in files]
    return asked if kind is None else [one for each in asked if (one := each.of_kind(cast(Kind, kind)))]


def _run_errors(
    claims: Sequence[str],
    part: Sequence[str],
    kind: str | None,
    preset: str,
    engine: str | None,
    counts: Mapping[str, int | None],
    out: Path,
    available: Mapping[str, ClaimFile],
) -> Iterator[str]:
    from rlnorm.api import count_errors
    from rlnorm.study.study import errors, out_errors

    good = list(claims)
    for claim in claims:
        try:
            named([claim], available)
        except ConfigError as error:
            good.remove(claim)
            yield from error.sentences
    if not claims and kind is None:
        yield "no claim was named: give at least one id (see `rlnorm list`), or --kind for all of a kind."
    if kind is not None and kind not in KINDS:
        yield unknown("kind", kind, KINDS)
    if preset not in PRESETS:
        yield unknown("preset", preset, PRESETS)
    yield from count_errors(counts)
    if preset not in PRESETS or kind not in (None, *KINDS) or not (good or (kind and not claims)):
        yield from out_errors(out)
        return
    wrong = list(errors(_requests(good, part, None if claims else kind, preset, None, engine, available), out))
    if not wrong and not _requests(good, part, kind, preset, None, engine, available):
        which = "of the claims named" if claims else "of the claims"
        yield f"none {which} has parts of kind {kind!r} here; `rlnorm show CLAIM` shows a claim's parts."
    yield from wrong


@app.command
def train(
    *,
    env: str = "CartPole-v1",
    norms: str = "none,layer,batch",
    seeds: int = 16,
    steps: int = COMPARISON_STEPS,
    lr: float | None = None,
    jobs: int | None = None,
    out: Path = Path("runs/train"),
    per_seed: bool = False,
    patience: Seconds = 600.0,
) -> None:
    """Compare norms in DQN on one environment: your own question, without a claim.

    Args:
        env: A gymnasium environment with discrete actions, by id.
        norms: Comma-separated; every one is compared with the first.
        seeds: Agents per norm.
        steps: Environment steps per agent.
        lr: Learning rate of all arms; the study setting's where not given.
        jobs: Units at work at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
    """
    from rlnorm import api
    from rlnorm.study.plan.request import compared

    names = [name.strip() for name in norms.split(",")]
    wrong = api.train_errors(env, names, seeds, steps, lr, jobs, out)
    raise_if_any([*wrong, *api.patience_errors(patience)])
    _study([compared(env, names, seeds, steps, lr)], out, jobs, per_seed, patience)


def _study(requests: "Sequence[Request]", out: Path, jobs: int | None, per_seed: bool, patience: float) -> None:
    from rlnorm import api
    from rlnorm.study.study import Failed

    try:
        result = api.ask(requests, out, jobs, console, per_seed, patience)
    except Failed as error:
        _conclude(error.result, out)
        raise
    _conclude(result, out)


def _conclude(result: "StudyResult", out: Path) -> None:
    from rlnorm.study.report import terminal

    terminal.show(result, console)
    console.print(f"\nReport:      {out / 'report.html'}", markup=False, soft_wrap=True)
    console.print(f"TensorBoard: rlnorm board {shlex.quote(str(out))}", markup=False, soft_wrap=True)


@app.command
def report(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    keep: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    per_seed: bool = False,
    trust: bool = False,
) -> None:
    """Judge and report again what a folder holds, without training anything.

    Args:
        directory: Folder of a study.
        keep: Write a page and the scores of each claim there too, as small text files to commit or to send.
        per_seed: Write single runs to TensorBoard too.
        trust: Run the files of claims and norms that the folder names, though they were never named here before.
    """
    from rlnorm.study.report import markdown, write
    from rlnorm.study.run import Store
    from rlnorm.study.run.history import asked_before
    from rlnorm.study.study import not_there, results

    raise_if_any([*_folder_errors(directory), *([] if keep is None else unwritable("results", "--keep", keep))])
    asked, lost = asked_before(directory, shipped(), trust)
    for sentence in lost:
        console.print(sentence, style="yellow", markup=False)
    if not asked:
        raise ConfigError(f"{str(directory)!r} holds no claim that can be reported.")
    store = Store(directory, any_version=True)
    missing, planned = not_there(asked, store)
    if missing == planned and planned:
        raise ConfigError(f"{str(directory)!r} holds no finished unit of what was asked; its report is left as it is.")
    if missing:
        said = f"{missing} of {planned} units are not there: what they decide is insufficient. `rlnorm run` does them."
        console.print(said, style="yellow", markup=False, soft_wrap=True)
    result = results([(one, store) for one in asked])
    for sentence in store.left_out():
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)
    write(result, directory, per_seed)
    _conclude(result, directory)
    if keep is not None:
        written = ", ".join(map(str, markdown.keep(result, keep)))
        console.print(f"Kept:        {written}", markup=False, soft_wrap=True)


@app.command
def verify(directory: tyro.conf.Positional[Path] = Path("runs/study"), /, *, trust: bool = False) -> None:
    """Check that all of a folder is as it was written, and judge it again.

    Nothing is changed. Exit code: 0 all fits, 1 something does not.

    Args:
        directory: Folder of a study.
        trust: Run the files of claims and norms that the folder names, though they were never named here before.
    """
    from rlnorm.study.run import Store
    from rlnorm.study.run.history import asked_before
    from rlnorm.study.study import verify

    raise_if_any(_folder_errors(directory))
    asked, wrong = asked_before(directory, shipped(), trust)
    summary, found = verify(directory, asked, Store(directory, any_version=True))
    for sentence in (*wrong, *found):
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)
    if wrong or found:
        sys.exit(1)
    console.print(summary, markup=False, soft_wrap=True)


@app.command
def board(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    port: Annotated[int, tyro.conf.arg(help="Port on localhost; 0 takes a free one.")] = 6006,
) -> None:
    """Show a study in TensorBoard, on localhost, until Ctrl-C.

    Args:
        directory: Folder of a study.
    """
    from rlnorm.study.report import tensorboard

    raise_if_any(_folder_errors(directory))
    tensorboard.board(directory, port)


@app.command(name="check-norm")
def check_norm(norm: tyro.conf.Positional[Path], /) -> None:
    """Hold your own norm to the laws that rlnorm's norms obey.

    Args:
        norm: Its file, which ends in NORM = Norm(...).
    """
    from rlnorm.nn import check

    report = check.check_norm(norm)
    console.print(str(report), markup=False)
    if not report.holds:
        sys.exit(1)


@app.command(name="check-claim")
def check_claim(claim: tyro.conf.Positional[Path], /) -> None:
    """Hold your own claim to the rules that rlnorm's claims obey; nothing is run.

    Args:
        claim: Its file, which ends in CLAIM = Claim(...).
    """
    from rlnorm.study.claim.validate import errors

    found = by_path(claim)
    raise_if_any(errors(found.claim))
    parts = len(found.claim.parts)
    console.print(
        f"{found.id}: {found.claim.title}. {parts} {'part' if parts == 1 else 'parts'}, no errors.", markup=False
    )


@app.command
def doctor(
    model: tyro.conf.Positional[Path],
    /,
    *,
    trust: bool = False,
    algo: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
    env: Annotated[str | None, tyro.conf.arg(metavar="ID")] = None,
) -> None:
    """Find what goes wrong with normalization in a saved model.

    Exit code: 0 healthy, 1 a fault, 2 bad input, 3 it could not be examined.

    Args:
        model: A zip that a stable-baselines3 model's save() wrote, or a module that torch.save wrote.
        trust: Load it: loading runs code that the file contains.
        algo: Algorithm that saved it, such as dqn; told by its settings where not given.
        env: A gymnasium environment to act in, by id, for data to hold the running statistics against.
    """
    from rlnorm.doctor.command import examine_file

    text, code = examine_file(model, trust, algo, env, _width())
    console.print(text, markup=False, soft_wrap=True)
    if code:
        sys.exit(code)


def _folder_errors(directory: Path) -> Iterator[str]:
    if not any((directory / name).exists() for name in ("study.json", "units/study.json")):
        what = "holds no study" if directory.is_dir() else "is no folder"
        yield f"{str(directory)!r} {what}; expected a folder that `rlnorm run` or `rlnorm train` wrote."


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `rlnorm` command; `arguments` are those of the process where None."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    description = "What does normalization really do in deep reinforcement learning?"
    code = guarded(lambda: app.cli(prog="rlnorm", description=description, args=words), shlex.join(["rlnorm", *words]))
    if code:
        sys.exit(code)


def guarded(action: Callable[[], object], command: str) -> int:
    """Do `action` -> the exit code; errors go to standard error. `command` is what to type to do it again."""
    try:
        action()
    except ConfigError as error:
        return _fail(2, *error.sentences)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        return _fail(exit_code(stop), f"interrupted, what is finished is kept. To continue:\n  {command}")
    except OSError as error:
        return _fail(1, f"{error.filename or 'a file'}: {error.strerror or error}. What is finished is kept.")
    except Exception as error:
        return _ended_early(error, command)
    return 0


def _ended_early(error: Exception, command: str) -> int:
    """The exit code of a study that could not be finished; other exceptions go on."""
    # A command that got this far has imported these; one that did not cannot have raised them.
    from rlnorm.study.run import UnitsFailed
    from rlnorm.study.study import Interrupted

    if isinstance(error, UnitsFailed):
        failed = [f"failed: {sentence}" for sentence in error.sentences]
        count = f"{len(failed)} {'unit' if len(failed) == 1 else 'units'} failed"
        return _fail(1, *failed, f"{count}; the others are kept. To try again:\n  {command}")
    if isinstance(error, Interrupted):
        done = f"{error.done} of {error.done + error.left} units finished and kept"
        return _fail(error.exit_code, f"interrupted, {done}. To continue:\n  {command}")
    raise error


def _fail(code: int, *sentences: str) -> int:
    with suppress(OSError):  # the terminal may be gone
        for sentence in sentences:
            print(f"rlnorm: {sentence}", file=sys.stderr)  # noqa: T201
    return code
