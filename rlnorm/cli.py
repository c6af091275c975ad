"""The command line: `rlnorm list | show | run | report | verify | board | train | export | compare | check-norm | ...`.

`EXIT_CODES` says what a command's end means; `rlnorm --help` prints it.

Each command imports what it needs: `rlnorm list` and `--help` load neither torch nor stable-baselines3.
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Annotated

import tyro

from rlnorm.arguments import App, Count, Whole
from rlnorm.errors import ConfigError, raise_if_any, unknown, unwritable
from rlnorm.showing import Flag, Language, Shown, carry_out, conclude, console, folder_errors, judged, warn
from rlnorm.stops import exit_code
from rlnorm.study.claim.dqn_setting import COMPARISON_STEPS
from rlnorm.study.claim.load import by_path, headlines, named, shipped, shipped_folder

EXIT_CODES = (
    "Exit codes: 0 done; 1 some units failed, a law is broken, or the doctor found a fault; 2 bad input, nothing "
    "written; 3 the doctor could not examine the model; 130 interrupted, 143 or 129 told to end by SIGTERM or SIGHUP, "
    "everything finished is kept."
)
app = App(fill(EXIT_CODES, 80))

Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]
Library = Annotated[str | None, tyro.conf.arg(metavar="LIBRARY")]
Seconds = Annotated[float, tyro.conf.arg(metavar="SECONDS")]


Output = tyro.conf.OmitArgPrefixes[Shown]
SHOWN = Shown()


@app.command(name="list")
def list_claims() -> None:
    """List all claims: id, kind, the notes that make them, the title."""
    for line in headlines(shipped_folder()):
        _print(f"{line.id}  ({line.kind}; {', '.join(line.notes) or 'no note'})\n    {line.title}")


@app.command
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
    found = named([claim], shipped())[0]
    with speaking(lang):
        if results is None:
            _print(describe.page(found, _width()))
            return
        claims = [each for each in judged(results).claims if each.id == found.id]
        if not claims:
            raise ConfigError(f"{str(results)!r} holds nothing of {found.id}; `rlnorm run {found.name}` runs it.")
        for block in terminal.parts(claims[0]):
            console.print(block)


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
    every: Annotated[Flag, tyro.conf.arg(name="all")] = False,
    part: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None,
    preset: str = "quick",
    seeds: Count = None,
    engine: Annotated[str | None, tyro.conf.arg(metavar="ENGINE")] = None,
    environments: Library = None,
    jobs: Count = None,
    out: Folder = Path("runs/study"),
    per_seed: bool = False,
    patience: Seconds = 600.0,
    dry_run: Flag = False,
    backend: Annotated[str, tyro.conf.arg(metavar="local|ray")] = "local",
    address: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None,
    shown: Output = SHOWN,
) -> None:
    """Test claims: train what is missing, judge, write report and verdicts.

    Args:
        claims: Their ids (see `rlnorm list`), or paths of files with claims of your own. None with --kind: all.
        every: Every claim that comes with rlnorm.
        part: Only this part, or this group of parts (may be given several times).
        kind: Only parts of this kind: exact, cost or effect (see `rlnorm show`).
        preset: Size of the runs: smoke, quick or full.
        seeds: Judged seeds per arm; the preset's number where not given.
        engine: Run DQN arms through this engine instead of our own: sb3 (stable-baselines3 with our layers).
        environments: Let envpool step the environments of DQN arms instead of gymnasium.
        jobs: Units that run at the same time; one per core, of the cluster's with ray, where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
        dry_run: Run nothing: list the units, how many are reused, and the time by past runs.
        backend: Who does the units: local (processes on this machine) or ray (the machines of a Ray cluster).
        address: Head of the Ray cluster; where not given, that of this machine, or one started on it for the study.
    """
    from rlnorm.api import patience_errors
    from rlnorm.asking import Asked
    from rlnorm.study.run import backend_errors

    through = {"engine": engine, "environments": environments}
    asked = Asked(claims, part, kind, preset, seeds, through, shipped(), every)
    wrong = [*asked.errors(out, {"--seeds": seeds, "--jobs": jobs}), *patience_errors(patience)]
    raise_if_any([*wrong, *backend_errors(backend, address)])
    carry_out(asked.requests(kind=kind), out, jobs, per_seed, patience, shown, dry_run, backend, address)


@app.command
def train(
    *,
    env: str = "CartPole-v1",
    norms: str = "none,layer,batch",
    seeds: Whole = 16,
    steps: Whole = COMPARISON_STEPS,
    lr: float | None = None,
    environments: Library = None,
    jobs: Count = None,
    out: Folder = Path("runs/train"),
    per_seed: bool = False,
    patience: Seconds = 600.0,
    dry_run: Flag = False,
    shown: Output = SHOWN,
) -> None:
    """Compare norms in DQN on one environment: your own question, without a claim.

    Args:
        env: A gymnasium environment with discrete actions, by id.
        norms: Comma-separated; every one is compared with the first.
        seeds: Agents per norm.
        steps: Environment steps per agent; 1e5 is read too.
        lr: Learning rate of all arms; the study setting's where not given.
        environments: Let envpool step the environments instead of gymnasium.
        jobs: Units at work at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
        dry_run: Run nothing: list the units, how many are reused, and the time by past runs.
    """
    from rlnorm import api
    from rlnorm.study.plan.request import compared

    names = [name.strip() for name in norms.split(",")]
    wrong = api.train_errors(env, names, seeds, steps, lr, jobs, out, environments)
    raise_if_any([*wrong, *api.patience_errors(patience)])
    asked = compared(env, names, seeds, steps, lr, environments)
    carry_out([asked], out, jobs, per_seed, patience, shown, dry_run)


@app.command
def report(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    keep: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    per_seed: bool = False,
    trust: Flag = False,
    shown: Output = SHOWN,
) -> None:
    """Judge and report again what a folder holds, without training anything.

    Args:
        directory: Folder of a study.
        keep: Write a page and the scores of each claim there too, as small text files to commit or to send.
        per_seed: Write single runs to TensorBoard too.
        trust: Run the files of claims and norms that the folder names, though they were never named here before.
    """
    from rlnorm.study.report import markdown, write
    from rlnorm.study.report.language import errors, speaking

    unkept = [] if keep is None else unwritable("results", "--keep", keep)
    raise_if_any([*folder_errors(directory), *unkept, *errors(shown.lang)])
    with speaking(shown.lang):
        result = judged(directory, shown.progress, trust)
        write(result, directory, per_seed)
        conclude(result, directory, shown)
    if keep is not None:
        written = ", ".join(map(str, markdown.keep(result, keep)))
        shown.progress.print(f"Kept:        {written}", markup=False, soft_wrap=True)


@app.command
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


@app.command
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

    (found,) = named([claim], shipped())
    file = scores_of(found.id) if results is None else results / found.id / "scores.csv"
    if not file.is_file():
        raise ConfigError(f"no scores of {found.id} are known: {str(file)!r} is not there; `rlnorm run` makes some.")
    for line in needed.table(found.claim, samples(file), effect):
        console.print(line, markup=False, soft_wrap=True)


@app.command
def compare(first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path], /) -> None:
    """Show two studies side by side: the verdicts of all parts that both hold.

    Args:
        first: Folder of a study.
        second: Folder of another.
    """
    from rlnorm.study.report import compare

    console.print(compare.table(first, second))


@app.command
def verify(directory: tyro.conf.Positional[Path] = Path("runs/study"), /, *, trust: Flag = False) -> None:
    """Check that all of a folder is as it was written, and judge it again.

    Nothing is changed. Exit code: 0 all fits, 1 something does not.

    Args:
        directory: Folder of a study.
        trust: Run the files of claims and norms that the folder names, though they were never named here before.
    """
    from rlnorm.study.run import Store
    from rlnorm.study.run.history import asked_before
    from rlnorm.study.study import verify

    raise_if_any(folder_errors(directory))
    asked, wrong = asked_before(directory, shipped(), trust)
    summary, found = verify(directory, asked, Store(directory, any_version=True))
    warn(console, (*wrong, *found))
    if wrong or found:
        sys.exit(1)
    console.print(summary, markup=False, soft_wrap=True)


@app.command
def board(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    port: Annotated[int, tyro.conf.arg(help="Port on localhost; 0 takes a free one.")] = 6006,
    rebuild: Flag = False,
    tags: Annotated[str | None, tyro.conf.arg(metavar="sb3|cleanrl")] = None,
    claims: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID ...")] = (),
) -> None:
    """Show a study in TensorBoard, on localhost, until Ctrl-C.

    Args:
        directory: Folder of a study.
        rebuild: Make all event files anew first.
        tags: Make them anew with curves named as stable-baselines3 (sb3, the default) or CleanRL (cleanrl) names them.
        claims: Make them anew for these claims alone: TensorBoard shows forty runs.
    """
    from rlnorm.study.report import tensorboard

    wrong = [] if tags in (None, *tensorboard.TAGS) else [unknown("tags", tags, tensorboard.TAGS)]
    raise_if_any([*folder_errors(directory), *wrong])
    if rebuild or tags or claims:
        result = judged(directory)
        ids = [claim.id for claim in result.claims]
        raise_if_any(unknown("claim", claim, ids) for claim in claims if claim not in ids)
        tensorboard.write(result, directory, tags=tags or "sb3", claims=claims)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `rlnorm` command; `arguments` are those of the process where None."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"rlnorm {version('rlnorm')}")  # noqa: T201
        return
    description = "What does normalization really do in deep reinforcement learning?"
    code = guarded(lambda: app.read(words, "rlnorm", description)(), shlex.join(["rlnorm", *words]))
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
