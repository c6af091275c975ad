"""A study from request to results: check, plan, run, judge, report.

DIR/study.json            what was asked, of every study kept in DIR
DIR/units/*.jsonl         the rows of finished units
DIR/<claim>/              verdict.json, scores.csv
DIR/verdicts.json, DIR/report.html, DIR/tensorboard/
"""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from rlnorm.errors import ConfigError, existing, raise_if_any, unwritable
from rlnorm.stops import exit_code
from rlnorm.study.judge import StudyResult, assess
from rlnorm.study.plan import ClaimPlan, Request, plan, units
from rlnorm.study.plan.request import typed
from rlnorm.study.plan.unit import commit, library_version, versions
from rlnorm.study.report import verdicts, write
from rlnorm.study.report.live import Live, runs_of
from rlnorm.study.run import PATIENCE, Bars, Store, UnitsFailed, Watchers, run, unfinished
from rlnorm.study.run.history import clashes, remember, replaced
from rlnorm.study.run.pool import Start
from rlnorm.study.run.rows import has_sum, pretty
from rlnorm.study.run.worker import Worker

LEAST_FREE = 10_000_000
"""Bytes without which no study begins: the report alone takes some."""

MANY = 500
"""Units of work that are begun with a hint that their time can be told beforehand."""


class Interrupted(Exception):
    """Ctrl-C: everything finished is kept; `left` units are still to do, as far as they can be known now."""

    def __init__(self, done: int, left: int, exit_code: int = 130):
        super().__init__(f"{done} units finished, {left} left")
        self.done, self.left, self.exit_code = done, left, exit_code


class Failed(UnitsFailed):
    """Some units failed. The rest was judged and written: `result`."""

    def __init__(self, sentences: Sequence[str], result: StudyResult):
        super().__init__(sentences)
        self.result = result

    @property
    def any_finished(self) -> bool:
        """Whether the folder holds any finished unit of what was asked."""
        return any(part.seconds is not None for claim in self.result.claims for part in claim.parts)


def study(
    requests: Sequence[Request],
    out: Path,
    *,
    jobs: int,
    console: Console,
    before: Sequence[Request] = (),
    per_seed: bool = False,
    patience: float = PATIENCE,
    start: Start = Worker,
) -> StudyResult:
    """Run what is missing, judge, and write everything under `out`.

    `before` is what was asked there earlier: it is shown again beside the new, from the rows that are there.
    `patience` is the number of seconds without a record after which a unit is ended (`run` says more); `start` is that
    of the backend that does the units.

    Raises ConfigError before anything is written; Interrupted and Failed after all that is finished was kept.
    """
    raise_if_any(errors(requests, out))
    begin, store = time.monotonic(), Store(out)
    _say(console, replaced(requests, out))
    try:
        parts = remember([*before, *requests], out)
    except OSError as error:  # what `out_errors` cannot foresee: a folder that takes no files, a full disk
        raise ConfigError(f"cannot write results to --out {str(out)!r}: {error.strerror or error}.") from error
    failed = _run_all(requests, store, jobs, console, patience, start)
    if not (out / "study.json").exists():  # somebody removed the folder meanwhile
        remember([*before, *requests], out)
    older = Store(out, any_version=True)
    # Parts of a claim that were not asked for now may be of another version; what failed now is not shown from one.
    shown = [(one, older) for one in before]
    shown += [(replace(one, parts=parts[one.id]), store if failed else older) for one in requests]
    result = results([(plan(one, kept.records), kept) for one, kept in shown], time.monotonic() - begin)
    _say(console, older.left_out())
    try:
        write(result, out, per_seed)
    except OSError as error:
        if not failed:
            raise
        failed.append(f"the report cannot be written to {str(out)!r}: {error.strerror or error}.")
    if failed:
        raise Failed(failed, result)
    return result


def _run_all(
    requests: Sequence[Request], store: Store, jobs: int, console: Console, patience: float, start: Start
) -> list[str]:
    """Do every unit that is missing -> one sentence for each that failed.

    Rates are chosen on units of a first round; the units that they decide are planned in the next.
    """
    failed = dict[str, str]()
    store.clear_partial()
    while True:
        plans = [plan(one, store.records) for one in requests]
        planned = units(plans)
        missing = [unit for unit in unfinished(planned, store) if unit.id not in failed]
        _say(console, store.set_aside())
        if not missing:
            return list(failed.values())
        more = " --dry-run tells how long they may take." if len(missing) >= MANY else ""
        console.print(f"{len(planned)} units of work, {len(planned) - len(missing)} already settled.{more}")
        try:
            with Bars(console, missing, store) as bars, Live(store, runs_of(plans), bars.note) as live:
                for unit, reason in run(missing, store, jobs, Watchers(bars, live), patience, start).items():
                    failed[unit.id] = f"{unit.label}: {reason}"
        except KeyboardInterrupt as stop:
            left = len(unfinished(planned, store))
            raise Interrupted(len(planned) - left, left, exit_code(stop)) from None


def _say(console: Console, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)


def results(plans: Sequence[tuple[ClaimPlan, Store]], seconds: float | None = None) -> StudyResult:
    """Judge what is stored of each plan, in the store that it was made from."""
    libraries = ("rlnorm", *sorted({name for each, _ in plans for name in each.request.libraries()}))
    return StudyResult(
        claims=tuple(assess(each, store.find) for each, store in plans),
        preset=plans[-1][0].request.preset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        versions={**{name: library_version(name) for name in libraries}, **versions()},
        command=typed(["rlnorm", *sys.argv[1:]]),
        seconds=seconds,
        hardware=f"{os.cpu_count()} CPU cores ({platform.machine()}), {platform.system()}",
    )


def not_there(plans: Sequence[ClaimPlan], store: Store) -> tuple[int, int]:
    """How many units of what was asked are not there any more, of how many."""
    planned = units(plans)
    return len(unfinished(planned, store)), len(planned)


def verify(out: Path, requests: Sequence[Request], store: Store) -> tuple[str, list[str]]:
    """Hold what `out` says to what it is made from -> a summary, and one sentence for everything that does not fit.

    `store` is that of `out`, of any version: every unit's file has been read whole and summed. Nothing is changed.
    """
    wrong = [f"{path}: {why}." for path, why in store.damaged.items()]
    sound = [path for path in store.files() if path not in store.damaged]
    unsummed = sum(not has_sum(path) for path in sound)
    plans = [plan(one, store.records) for one in requests]
    judged = json.loads(pretty(verdicts.rows(results([(each, store) for each in plans])))) if plans else []
    again = {(row["claim"], row["part"]): row for row in judged}
    try:
        said = {(row["claim"], row["part"]): row for row in verdicts.read(out)}
    except ConfigError as error:
        return "", [*wrong, f"verdicts.json cannot be read: {error}"]

    def decided(row: Mapping[str, object]) -> list[object]:
        return [row.get(field) for field in verdicts.FIELDS]

    missing, planned = not_there(plans, store)
    if missing:
        wrong.append(f"{missing} of {planned} units are not there; `rlnorm run` does them.")
    for key in dict.fromkeys((*said, *again)):
        if decided(said.get(key, {})) != decided(again.get(key, {})):
            wrong.append(f"verdicts.json: the row of {', '.join(key)} is not what is judged again.")
    units = f"{len(sound)} {'unit' if len(sound) == 1 else 'units'}, every one as it was written"
    units += f" ({unsummed} of them from before the sum, of which only the form is known)" if unsummed else ""
    return f"{units}; {len(said)} verdicts, judged again, are the same.", wrong


def errors(requests: Sequence[Request], out: Path) -> Iterator[str]:
    """One sentence for everything that is wrong with a study, each once."""
    yield from dict.fromkeys(sentence for one in requests for sentence in one.errors())
    yield from clashes(requests, out)
    yield from out_errors(out)


def out_errors(out: Path) -> Iterator[str]:
    """The sentence if results cannot be written under `out`."""
    wrong = next((found for folder in (out, out / "units") if (found := [*_folder_errors(folder)])), [])
    yield from wrong
    free = shutil.disk_usage(existing(out)).free
    if not wrong and free < LEAST_FREE:
        yield (
            f"cannot write results to --out {str(out)!r}: {free / 1e6:.1f} MB are free there, and a study needs at "
            f"least {LEAST_FREE / 1e6:.0f} MB."
        )


def _folder_errors(folder: Path) -> Iterator[str]:
    """The sentence if nothing can be written to one folder."""
    what, there = f"cannot write results to --out {str(folder)!r}", existing(folder)
    nowhere = next((each for each in (folder, *folder.parents) if each.is_symlink() and not each.exists()), None)
    if nowhere is not None:
        yield f"{what}: {str(nowhere)!r} is a link that leads nowhere."
    elif there.is_dir() and os.statvfs(there).f_flag & os.ST_RDONLY:
        yield f"{what}: {str(there)!r} can only be read."
    else:
        yield from unwritable("results", "--out", folder)
