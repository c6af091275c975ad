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

from rlnorm.arguments import App, Count, Whole, setting, with_question
from rlnorm.commands import info, own, reading
from rlnorm.errors import ConfigError, raise_if_any, unknown, unwritable
from rlnorm.showing import Flag, Shown, carry_out, conclude, console, folder_errors, judged, warn
from rlnorm.stops import exit_code
from rlnorm.study.claim.dqn_setting import COMPARISON_STEPS
from rlnorm.study.claim.load import shipped

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

app.command(reading.list_claims, name="list")
app.command(reading.show)


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
    after: Whole = 0,
    engine: Annotated[str | None, tyro.conf.arg(metavar="ENGINE")] = None,
    environments: Library = None,
    jobs: Count = None,
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
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
        after: Judge fresh seeds, those after the first so many, of a claim that these left undecided. Only the added
            ones are judged.
        engine: Run DQN arms through this engine instead of our own: sb3 (stable-baselines3 with our layers).
        environments: Let envpool step the environments of DQN arms instead of gymnasium.
        jobs: Units that run at the same time; one per core, of the cluster's with ray, where not given.
        out: Folder of the results; finished work found there is used. Where not given, runs/study, or runs/mine where
            a claim of your own is named.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
        dry_run: Run nothing: list the units, how many are reused, and the time by past runs.
        backend: Who does the units: local (processes on this machine) or ray (the machines of a Ray cluster).
        address: Head of the Ray cluster; where not given, that of this machine, or one started on it for the study.
    """
    from rlnorm.api import patience_errors
    from rlnorm.asking import Asked, folder
    from rlnorm.study.run import backend_errors

    through = {"engine": engine, "environments": environments, "after": after}
    out = folder(claims) if out is None else out
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
    option: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(aliases=["-o"], metavar="NAME=VALUE")
    ] = (),
    environments: Library = None,
    jobs: Count = None,
    out: Folder = Path("runs/train"),
    per_seed: bool = False,
    patience: Seconds = 600.0,
    save: Flag = False,
    video: Flag = False,
    dry_run: Flag = False,
    shown: Output = SHOWN,
) -> None:
    """Compare norms in DQN on one environment: your own question, without a claim.

    `rlnorm train FILE.toml` reads these options; those typed after it count.

    Args:
        env: A gymnasium environment with discrete actions, by id.
        norms: Comma-separated; every one is compared with the first.
        seeds: Agents per norm.
        steps: Environment steps per agent; 1e5 is read too. Fewer than a full study's give a preview.
        lr: Learning rate of all arms; the study setting's where not given.
        option: Any other setting of the engine, for all arms, such as discount=0.98 or hidden=128,128 (may be given
            several times; `rlnorm.dqn.Settings` lists them).
        environments: Let envpool step the environments instead of gymnasium.
        jobs: Units at work at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
        patience: Seconds without a record after which a unit of work is ended.
        save: Save the trained agents in DIR/agents; `rlnorm.dqn.load` reads them.
        video: Record an episode of an agent of each arm beside it; needs moviepy.
        dry_run: Run nothing: list the units, how many are reused, and the time by past runs.
    """
    from rlnorm import api, filming
    from rlnorm.study.plan.request import compared
    from rlnorm.study.report.language import errors

    names, options = [name.strip() for name in norms.split(",")], dict(map(setting, option))
    wrong = api.train_errors(env, names, seeds, steps, lr, jobs, out, environments, options)
    raise_if_any([*wrong, *api.patience_errors(patience), *filming.errors(env, video, save), *errors(shown.lang)])
    asked = compared(env, names, seeds, steps, lr, environments, options)
    if save and not dry_run:
        api.save_agents(out)
    carry_out([asked], out, jobs, per_seed, patience, shown, dry_run)
    if save and not dry_run:
        folders = filming.saved(asked, out)
        told = [filming.film(folder, env) for folder in folders] if video else folders
        none = ["none: all units were finished before; another --out trains them anew"]
        shown.progress.print(f"Agents:      {', '.join(map(str, told or none))}", markup=False, soft_wrap=True)


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
    # Before anything is shown: its reader may leave, as `head` does.
    kept = [] if keep is None else markdown.keep(result, keep)
    with speaking(shown.lang):
        conclude(result, directory, shown)
    if kept:
        shown.progress.print(f"Kept:        {', '.join(map(str, kept))}", markup=False, soft_wrap=True)


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


for command in (reading.export, reading.power, reading.compare):
    app.command(command)
app.command(own.new)
app.command(own.check_norm, name="check-norm")
app.command(own.check_claim, name="check-claim")
app.command(own.doctor)
app.command(info.info)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `rlnorm` command; `arguments` are those of the process where None."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"rlnorm {version('rlnorm')}")  # noqa: T201
        return
    description = "What does normalization really do in deep reinforcement learning?"
    code = guarded(lambda: app.read(with_question(words), "rlnorm", description)(), shlex.join(["rlnorm", *words]))
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
    from rlnorm.study.study import Failed, Interrupted

    if isinstance(error, UnitsFailed):
        failed = [f"failed: {sentence}" for sentence in error.sentences]
        count = f"{len(failed)} {'unit' if len(failed) == 1 else 'units'} failed"
        kept = "none is finished" if isinstance(error, Failed) and not error.any_finished else "the others are kept"
        return _fail(1, *failed, f"{count}; {kept}. To try again:\n  {command}")
    if isinstance(error, Interrupted):
        done = f"{error.done} of {error.done + error.left} units finished and kept"
        return _fail(error.exit_code, f"interrupted, {done}. To continue:\n  {command}")
    raise error


def _fail(code: int, *sentences: str) -> int:
    with suppress(OSError):  # the terminal may be gone
        for sentence in sentences:
            print(f"rlnorm: {sentence}", file=sys.stderr)  # noqa: T201
    return code
