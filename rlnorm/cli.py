"""The command line: `rlnorm list | show | run | report | board | train`.

Exit codes: 0 done; 1 some units failed; 2 bad input, nothing written; 130 interrupted, everything finished is kept.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rlnorm.claims import __path__ as _claims_path
from rlnorm.errors import ConfigError, raise_if_any, unknown
from rlnorm.study import adhoc, discover, table, tensorboard
from rlnorm.study.assess import Asked
from rlnorm.study.claim import PRESETS, Claim
from rlnorm.study.discover import Found
from rlnorm.study.results import StudyResult
from rlnorm.study.store import Store
from rlnorm.study.study import Failed, Interrupted, asked_before, results, study, write

CLAIMS = Path(_claims_path[0])
KINDS = ("exact", "cost", "effect")
app = tyro.extras.SubcommandApp()
console = Console(highlight=False)


def find_claims() -> Mapping[str, Found]:
    """All claims that come with rlnorm, by id."""
    return discover.find(CLAIMS)


@app.command(name="list")
def list_claims() -> None:
    """List all claims: id, kind, the notes that make them, the statement."""
    for name, found in find_claims().items():
        claim = found.claim
        console.print(f"[bold]{name}[/bold]  ({claim.kind}; {', '.join(claim.notes) or 'no note'})", soft_wrap=True)
        console.print(f"    {claim.statement}")


@app.command
def show(claim: tyro.conf.Positional[str], /) -> None:
    """Show one claim: what is tested, how, and against which margin.

    Args:
        claim: Its id (see `rlnorm list`).
    """
    found = _found([claim], find_claims())[0]
    console.print(f"[bold]{found.id}[/bold]: {found.claim.statement}\n")
    console.print(f"Source: {found.claim.source}")
    console.print(f"Notes:  {', '.join(found.claim.notes) or '-'}")
    console.print(f"Overall verdict: {_rule(found.claim)}")
    for name, part in found.claim.parts.items():
        console.print(f"\n[bold]{name}[/bold] ({part.kind}; presets {', '.join(part.presets)})")
        for key, value in vars(part).items():
            if key not in ("kind", "presets") and not callable(value):
                console.print(f"  {key}: {_plain(value)}", markup=False)


def _rule(claim: Claim) -> str:
    return {
        "all": "supported if every part is, refuted if any part is",
        "any": "supported if any part is, refuted if every part is",
    }[claim.overall]


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    if hasattr(value, "__dataclass_fields__"):
        return ", ".join(f"{k} {_plain(v)}" for k, v in vars(value).items() if v not in (None, ()))
    return str(value)


@app.command
def run(
    claims: tyro.conf.Positional[tuple[str, ...]] = (),
    /,
    *,
    part: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    kind: str | None = None,
    preset: str = "quick",
    seeds: int | None = None,
    jobs: int | None = None,
    out: Path = Path("runs/study"),
    per_seed: bool = False,
) -> None:
    """Test claims: train what is missing, judge, write the report, the verdicts and the event files.

    Args:
        claims: Their ids (see `rlnorm list`); none with --kind: all of that kind.
        part: Only this part, or this group of parts (may be given several times).
        kind: Only claims of this kind: exact, cost or effect.
        preset: Size of the runs: smoke, quick or full.
        seeds: Judged seeds per arm; the preset's number where not given.
        jobs: Units at work at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
    """
    available = find_claims()
    raise_if_any(_run_errors(claims, kind, preset, {"--seeds": seeds, "--jobs": jobs}, available))
    chosen = [found for found in _found(claims or list(available), available) if kind in (None, found.claim.kind)]
    if not chosen:
        raise ConfigError(f"none of the claims named is of kind {kind!r}.")
    asked = [Asked(found, preset, tuple(part), seeds) for found in chosen]  # pyright: ignore[reportArgumentType]
    _study(asked, out, jobs, per_seed)


def _run_errors(
    claims: Sequence[str],
    kind: str | None,
    preset: str,
    counts: Mapping[str, int | None],
    available: Mapping[str, Found],
):
    for claim in claims:
        if claim not in available:
            yield unknown("claim", claim, available, "an id that `rlnorm list` shows")
    if not claims and kind is None:
        yield "no claim was named: give at least one id (see `rlnorm list`), or --kind for all of a kind."
    if kind is not None and kind not in KINDS:
        yield unknown("kind", kind, KINDS)
    if preset not in PRESETS:
        yield unknown("preset", preset, PRESETS)
    for name, value in counts.items():
        if value is not None and value < 1:
            yield f"{name} must be at least 1, got {value}."


def _found(names: Sequence[str], available: Mapping[str, Found]) -> list[Found]:
    raise_if_any(
        unknown("claim", name, available, "an id that `rlnorm list` shows") for name in names if name not in available
    )
    return [available[name] for name in dict.fromkeys(names)]


@app.command
def train(
    *,
    env: str = "CartPole-v1",
    norms: str = "none,layer,batch",
    seeds: int = 16,
    steps: int = adhoc.DEFAULT_STEPS,
    lr: float | None = None,
    jobs: int | None = None,
    out: Path = Path("runs/train"),
    per_seed: bool = False,
) -> None:
    """Compare norms in DQN on one environment: a question of one's own, without a claim.

    Args:
        env: A gymnasium environment with discrete actions, by id.
        norms: Comma-separated; every one is compared with the first.
        seeds: Agents per norm.
        steps: Environment steps per agent.
        lr: Learning rate of all arms; the study setting's where not given.
        jobs: Units at work at the same time; one per core where not given.
        out: Folder of the results; finished work found there is used.
        per_seed: Write single runs to TensorBoard too.
    """
    raise_if_any([] if jobs is None or jobs > 0 else [f"--jobs must be at least 1, got {jobs}."])
    _study([adhoc.compare(env, [name.strip() for name in norms.split(",")], seeds, steps, lr)], out, jobs, per_seed)


def _study(asked: Sequence[Asked], out: Path, jobs: int | None, per_seed: bool) -> StudyResult:
    new = {one.found.id for one in asked}
    before = [one for one in _kept(out) if one.found.id not in new]
    failed = None
    try:
        result = study(asked, out, jobs=jobs or os.cpu_count() or 1, console=console, before=before, per_seed=per_seed)
    except Failed as error:
        failed, result = error, error.result
    table.show(result, console)
    console.print(f"\nReport:      {out / 'report.html'}", soft_wrap=True)
    console.print(f"TensorBoard: rlnorm board {shlex.quote(str(out))}", soft_wrap=True)
    if failed:
        console.print(f"\nSome units failed; the same command tries them again.\n{failed}", style="red")
        sys.exit(1)
    return result


def _kept(out: Path) -> list[Asked]:
    """What earlier studies in the folder asked, as far as its claims still exist."""
    available = find_claims()
    kept = []
    for name, entry in asked_before(out).items():
        if entry.get("recipe"):
            kept.append(adhoc.again(entry["recipe"]))
        elif name in available:
            kept.append(Asked(available[name], entry["preset"], tuple(entry["parts"]), entry["seeds"]))
    return kept


@app.command
def report(
    directory: tyro.conf.Positional[Path] = Path("runs/study"),
    /,
    *,
    per_seed: bool = False,
) -> None:
    """Judge and report again what a folder holds, without training anything.

    Args:
        directory: Folder of a study.
        per_seed: Write single runs to TensorBoard too.
    """
    asked = _kept(_study_folder(directory))
    store = Store(directory, any_version=True)
    result = results([(one, store) for one in asked])
    write(result, directory, per_seed)
    table.show(result, console)
    console.print(f"\nReport: {directory / 'report.html'}", soft_wrap=True)


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
    tensorboard.board(_study_folder(directory), port)


def _study_folder(directory: Path) -> Path:
    if not (directory / "study.json").is_file():
        what = "holds no study" if directory.is_dir() else "is no folder"
        raise ConfigError(f"{str(directory)!r} {what}: expected a folder that `rlnorm run` or `rlnorm train` wrote.")
    return directory


def main() -> None:
    """Entry point of the `rlnorm` command."""
    try:
        app.cli(prog="rlnorm", description="What does normalization really do in deep reinforcement learning?")
    except ConfigError as error:
        for sentence in error.sentences:
            print(f"rlnorm: {sentence}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except Interrupted as stop:
        command = shlex.join(["rlnorm", *sys.argv[1:]])
        print(  # noqa: T201
            f"\nInterrupted. {stop.done} units are finished and kept, {stop.left} are left. To continue:\n  {command}",
            file=sys.stderr,
        )
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
