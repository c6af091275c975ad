"""What can be called from Python as well as from the command line."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from rlnorm.errors import raise_if_any
from rlnorm.study.claim import comparison
from rlnorm.study.claim.load import shipped
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan import Request
from rlnorm.study.plan.request import compared
from rlnorm.study.run import PATIENCE, opened
from rlnorm.study.run.history import asked_before
from rlnorm.study.study import out_errors, study


def train(
    env: str = "CartPole-v1",
    norms: Sequence[str | None] = ("none", "layer", "batch"),
    seeds: int = 16,
    steps: int = 100_000,
    *,
    lr: float | None = None,
    environments: str | None = None,
    out: str | Path = "runs/train",
    jobs: int | None = None,
    per_seed: bool = False,
    console: Console | None = None,
    patience: float = PATIENCE,
) -> StudyResult:
    """Compare norms in DQN on one environment, each with the first: `rlnorm train` as a call.

    norms     short names, or paths of files with a user's norm; None is "none"
    seeds     agents per norm; steps: environment steps of each
    lr        learning rate of all arms; None: the study setting's
    environments  who steps them: "gymnasium" (None), or "envpool"
    out       folder of the results: report.html, verdicts.json, ...; finished work found there is used
    jobs      units that run at the same time; None: one per core
    per_seed  write single runs to TensorBoard too
    console   where progress is shown; None: on standard output
    patience  seconds without a record after which a unit of work is ended

    Returns everything the folder holds, what was asked there earlier included. Raises ConfigError with every error at
    once, before anything is written; `rlnorm.study.study.Failed` where a unit failed, after all else was kept.
    """
    wrong = train_errors(env, norms, seeds, steps, lr, jobs, Path(out), environments)
    raise_if_any([*wrong, *patience_errors(patience)])
    asked = compared(env, norms, seeds, steps, lr, environments)
    return ask([asked], Path(out), jobs, console or Console(), per_seed, patience)


def train_errors(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None,
    jobs: int | None,
    out: Path,
    environments: str | None = None,
) -> Iterator[str]:
    """One sentence for everything that is wrong with a call of `train`."""
    yield from comparison.errors(env, norms, seeds, steps, lr, environments)
    yield from count_errors({"--jobs": jobs})
    yield from out_errors(out)


def count_errors(counts: Mapping[str, int | None]) -> Iterator[str]:
    """One sentence for each count that is given and not positive."""
    for name, value in counts.items():
        if value is not None and value < 1:
            yield f"{name} must be at least 1, got {value}."


def patience_errors(patience: float) -> Iterator[str]:
    """The sentence for a patience that is none."""
    if not patience > 0:
        yield f"--patience must be positive, got {patience:g}."


def ask(
    requests: Sequence[Request],
    out: Path,
    jobs: int | None,
    console: Console,
    per_seed: bool = False,
    patience: float = PATIENCE,
    backend: str = "local",
    address: str | None = None,
) -> StudyResult:
    """Run a study in `out`, and show what was asked there before beside it. `opened` says what a backend is."""
    kept, lost = asked_before(out, shipped())
    for sentence in lost:
        console.print(sentence, style="yellow", markup=False, highlight=False)
    new = {one.id for one in requests}
    before = [one for one in kept if one.id not in new]
    with opened(backend, address, requests, out) as found:
        return study(
            requests,
            out,
            jobs=jobs or found.cores,
            console=console,
            before=before,
            per_seed=per_seed,
            patience=patience,
            start=found.start,
        )
