"""What can be called from Python as well as from the command line."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from rlnorm.claims import __path__ as _claims_path
from rlnorm.errors import ConfigError, raise_if_any, unknown
from rlnorm.study import adhoc, discover
from rlnorm.study.assess import Asked
from rlnorm.study.discover import Found
from rlnorm.study.results import StudyResult
from rlnorm.study.study import asked_before, out_errors, study


def find_claims() -> Mapping[str, Found]:
    """All claims that come with rlnorm, by id."""
    return discover.find(Path(_claims_path[0]), "rlnorm.claims")


def find_named(names: Sequence[str], available: Mapping[str, Found]) -> list[Found]:
    """The claims of these ids or paths, each once. Raises ConfigError for one that is neither."""
    found: dict[str, Found] = {}
    for name in names:
        if name.endswith(".py"):
            own = discover.by_path(name)
            if own.id in available:
                raise ConfigError(f"{name!r} would be claim {own.id!r}, which comes with rlnorm; rename the file.")
            found[own.id] = own
        elif name not in available:
            expected = "an id that `rlnorm list` shows, or the path of a file that ends in .py"
            raise ConfigError(unknown("claim", name, available, expected))
        else:
            found[name] = available[name]
    return list(found.values())


def train(
    env: str = "CartPole-v1",
    norms: Sequence[str] = ("none", "layer", "batch"),
    seeds: int = 16,
    steps: int = adhoc.DEFAULT_STEPS,
    *,
    lr: float | None = None,
    out: str | Path = "runs/train",
    jobs: int | None = None,
    per_seed: bool = False,
    console: Console | None = None,
) -> StudyResult:
    """Compare norms in DQN on one environment, every one with the first: `rlnorm train` as a call.

    norms     short names, or paths of files with a norm of one's own
    seeds     agents per norm; steps: environment steps of each
    lr        learning rate of all arms; the study setting's where None
    out       folder of the results: report.html, verdicts.json, ...; finished work found there is used
    jobs      units at work at the same time; one per core where None
    per_seed  write single runs to TensorBoard too
    console   where progress is shown; on standard output where None

    Returns everything the folder holds, what was asked there earlier included. Raises ConfigError with every error at
    once, before anything is written; `rlnorm.study.study.Failed` where a unit failed, after all else was kept.
    """
    raise_if_any(train_errors(env, norms, seeds, steps, lr, jobs, Path(out)))
    return ask([adhoc.compare(env, norms, seeds, steps, lr)], Path(out), jobs, console or Console(), per_seed)


def train_errors(
    env: str, norms: Sequence[str], seeds: int, steps: int, lr: float | None, jobs: int | None, out: Path
) -> Iterator[str]:
    """One sentence for everything that is wrong with a call of `train`."""
    yield from adhoc.errors(env, norms, seeds, steps, lr)
    yield from count_errors({"--jobs": jobs})
    yield from out_errors(out)


def count_errors(counts: Mapping[str, int | None]) -> Iterator[str]:
    """One sentence for each count that is given and not positive."""
    for name, value in counts.items():
        if value is not None and value < 1:
            yield f"{name} must be at least 1, got {value}."


def ask(asked: Sequence[Asked], out: Path, jobs: int | None, console: Console, per_seed: bool = False) -> StudyResult:
    """Run a study in `out`, beside what was asked there before."""
    kept, lost = asked_before(out, find_claims())
    for sentence in lost:
        console.print(sentence, style="yellow", markup=False, highlight=False)
    new = {one.found.id for one in asked}
    before = [one for one in kept if one.found.id not in new]
    return study(asked, out, jobs=jobs or os.cpu_count() or 1, console=console, before=before, per_seed=per_seed)


def kept(directory: Path) -> list[Asked]:
    """What was asked in a study's folder, as far as its claims are still there."""
    return asked_before(directory, find_claims())[0]
