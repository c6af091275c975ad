"""A study from request to results: check, plan, run, judge, report.

DIR/study.json            what was asked, of every study kept in DIR
DIR/units/*.jsonl         the rows of finished units
DIR/<claim>/              verdict.json, scores.csv
DIR/verdicts.json, DIR/report.html, DIR/tensorboard/
"""

import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from rlnorm.errors import ConfigError, raise_if_any, unwritable
from rlnorm.study.judge import StudyResult, assess
from rlnorm.study.plan import Request, plan, units
from rlnorm.study.plan.unit import commit, library_version, versions
from rlnorm.study.report import write
from rlnorm.study.run import Bars, Store, UnitsFailed, run, unfinished
from rlnorm.study.run.history import remember


class Interrupted(Exception):
    """Ctrl-C: everything finished is kept; `left` units are still to do, as far as they can be known now."""

    def __init__(self, done: int, left: int):
        super().__init__(f"{done} units finished, {left} left")
        self.done, self.left = done, left


class Failed(UnitsFailed):
    """Some units failed. The rest was judged and written: `result`."""

    def __init__(self, sentences: Sequence[str], result: StudyResult):
        super().__init__(sentences)
        self.result = result


def study(
    requests: Sequence[Request],
    out: Path,
    *,
    jobs: int,
    console: Console,
    before: Sequence[Request] = (),
    per_seed: bool = False,
) -> StudyResult:
    """Run what is missing, judge, and write everything under `out`.

    `before` is what was asked there earlier: it is shown again beside the new, from the rows that are there.

    Raises ConfigError before anything is written; Interrupted and Failed after all that is finished was kept.
    """
    raise_if_any(errors(requests, out))
    begin, store = time.monotonic(), Store(out)
    try:
        parts = remember(requests, out)
    except OSError as error:  # what `out_errors` cannot foresee: a folder that takes no files, a full disk
        raise ConfigError(f"cannot write results to --out {str(out)!r}: {error.strerror or error}.") from error
    failed = _run_all(requests, store, jobs, console)
    shown = [(one, Store(out, any_version=True)) for one in before]
    shown += [(replace(one, parts=parts[one.id]), store) for one in requests]
    result = results(shown, time.monotonic() - begin)
    write(result, out, per_seed)
    if failed:
        raise Failed(failed, result)
    return result


def _run_all(requests: Sequence[Request], store: Store, jobs: int, console: Console) -> list[str]:
    """Do every unit that is missing -> one sentence for each that failed.

    Rates are chosen on units of a first round; the units that they decide are planned in the next.
    """
    failed = dict[str, str]()
    while True:
        planned = units(plan(one, store.records) for one in requests)
        missing = [unit for unit in unfinished(planned, store) if unit.id not in failed]
        if not missing:
            return list(failed.values())
        console.print(f"{len(planned)} units of work, {len(planned) - len(missing)} already settled.")
        try:
            with Bars(console, missing, store) as bars:
                for unit, reason in run(missing, store, jobs, bars).items():
                    failed[unit.id] = f"{unit.label}: {reason}"
        except KeyboardInterrupt:
            left = len(unfinished(planned, store))
            raise Interrupted(len(planned) - left, left) from None


def results(requests: Sequence[tuple[Request, Store]], seconds: float | None = None) -> StudyResult:
    """Judge what is stored."""
    return StudyResult(
        claims=tuple(assess(plan(one, store.records), store.find) for one, store in requests),
        preset=requests[-1][0].preset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        versions={"rlnorm": library_version("rlnorm"), **versions()},
        command=shlex.join(["rlnorm", *sys.argv[1:]]),
        seconds=seconds,
        hardware=f"{os.cpu_count()} CPU cores ({platform.machine()}), {platform.system()}",
    )


def errors(requests: Sequence[Request], out: Path) -> Iterator[str]:
    """One sentence for everything that is wrong with a study, each once."""
    yield from dict.fromkeys(sentence for one in requests for sentence in one.errors())
    yield from out_errors(out)


def out_errors(out: Path) -> Iterator[str]:
    """The sentence if results cannot be written under `out`."""
    yield from unwritable("results", "--out", out)
