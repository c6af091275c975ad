"""A study from question to results: check, plan, run, judge, write.

DIR/study.json            what was asked, of every study kept in DIR
DIR/units/*.jsonl         the rows of finished units
DIR/<claim>/              verdict.json, scores.csv, tensorboard/
DIR/verdicts.json, DIR/report.html
"""

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

import rlnorm
from rlnorm.errors import ConfigError, raise_if_any, unwritable
from rlnorm.study import adhoc, discover, report, tensorboard
from rlnorm.study.assess import Asked, assess, scores_csv, units
from rlnorm.study.discover import Found
from rlnorm.study.judge import Verdict
from rlnorm.study.plan import commit, versions
from rlnorm.study.results import StudyResult
from rlnorm.study.run import Bars, UnitsFailed, run, unfinished
from rlnorm.study.store import Store, line, locked, write_atomically

FIELDS = ("claim", "part", "verdict", "estimate", "low", "high", "margin", "n", "diverged", "preset", "steps")


class Interrupted(Exception):
    """Ctrl-C: everything finished is kept; `left` units are still to do, as far as they can be known now."""

    def __init__(self, done: int, left: int):
        super().__init__(f"{done} units finished, {left} left")
        self.done, self.left = done, left


class Failed(UnitsFailed):
    """The rest was judged and written: `result`."""

    def __init__(self, sentences: Sequence[str], result: StudyResult):
        super().__init__(sentences)
        self.result = result


def study(
    asked: Sequence[Asked],
    out: Path,
    *,
    jobs: int,
    console: Console,
    before: Sequence[Asked] = (),
    per_seed: bool = False,
) -> StudyResult:
    """Run what is missing, judge, and write everything under `out`.

    `before` is what was asked there earlier: it is shown again beside the new, from the rows that are there.

    Raises ConfigError before anything is written; Interrupted and Failed after all that is finished was kept.
    """
    raise_if_any(errors(asked, out))
    begin, store, failed = time.monotonic(), Store(out), dict[str, str]()
    try:
        parts = remember(asked, out)
    except OSError as error:  # what `out_errors` cannot foresee: a folder that takes no files, a full disk
        raise ConfigError(f"cannot write results to --out {str(out)!r}: {error.strerror or error}.") from error
    # Rates are chosen on units of a first round; what they decide is planned in the next.
    while True:
        planned = units(asked, store)
        missing = [unit for unit in unfinished(planned, store) if unit.id not in failed]
        if not missing:
            break
        console.print(f"{len(planned)} units of work, {len(planned) - len(missing)} already settled.")
        try:
            with Bars(console, len(missing)) as bars:
                for unit, reason in run(missing, store, jobs, bars).items():
                    failed[unit.id] = f"{unit.label}: {reason}"
        except KeyboardInterrupt:
            left = len(unfinished(planned, store))
            raise Interrupted(len(planned) - left, left) from None
    shown = [(one, Store(out, any_version=True)) for one in before]
    shown += [(replace(one, parts=parts[one.found.id]), store) for one in asked]
    result = results(shown, time.monotonic() - begin)
    write(result, out, per_seed)
    if failed:
        raise Failed(list(failed.values()), result)
    return result


def errors(asked: Sequence[Asked], out: Path) -> Iterator[str]:
    """One sentence for everything that is wrong with a study, each once."""
    yield from dict.fromkeys(sentence for one in asked for sentence in one.errors())
    yield from out_errors(out)


def results(asked: Sequence[tuple[Asked, Store]], seconds: float | None = None) -> StudyResult:
    """Judge what is stored."""
    return StudyResult(
        claims=tuple(assess(one, store) for one, store in asked),
        preset=asked[-1][0].preset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        versions={"rlnorm": rlnorm.__version__, "python": platform.python_version(), **versions()},
        command=shlex.join(["rlnorm", *sys.argv[1:]]),
        seconds=seconds,
        hardware=f"{os.cpu_count()} CPU cores ({platform.machine()}), {platform.system()}",
    )


def write(result: StudyResult, out: Path, per_seed: bool = False) -> None:
    """Verdicts, scores, event files and the report."""
    for claim in result.claims:
        rows = [claim.overall, *(part.verdict for part in claim.parts)]
        write_atomically(out / claim.id / "verdict.json", _pretty([vars(row) for row in rows]))
        write_atomically(out / claim.id / "scores.csv", scores_csv(claim))
    write_atomically(out / "verdicts.json", _pretty([{f: getattr(v, f) for f in FIELDS} for v in verdicts(result)]))
    tensorboard.write(result, out, per_seed)
    report.write(result, out / "report.html")


def verdicts(result: StudyResult) -> list[Verdict]:
    """Every row: each claim's overall verdict, then its parts'."""
    return [row for claim in result.claims for row in (claim.overall, *(part.verdict for part in claim.parts))]


def _pretty(value: Any) -> str:
    return json.dumps(json.loads(line(value)), indent=1) + "\n"


def remember(asked: Sequence[Asked], out: Path) -> dict[str, tuple[str, ...]]:
    """Keep what was asked in DIR/study.json, beside what was asked there before -> the parts of each claim kept now."""
    with locked(out):
        kept = _remembered(out)
        for one in asked:
            old = kept.get(one.found.id, {})
            same = [old.get(what) for what in ("preset", "seeds", "engine")] == [one.preset, one.seeds, one.engine]
            # What was run of a claim before stays part of it, unless it is asked anew in another size.
            parts = _joined(old["parts"], one.parts) if same else one.parts
            kept[one.found.id] = {
                "preset": one.preset,
                "parts": list(parts),
                "seeds": one.seeds,
                "recipe": one.recipe,
                "engine": one.engine,
                "path": str(one.found.path) if one.found.own else None,
            }
        write_atomically(out / "study.json", _pretty({"claims": kept}))
    return {one.found.id: tuple(kept[one.found.id]["parts"]) for one in asked}


def _joined(old: Sequence[str], new: Sequence[str]) -> Sequence[str]:
    """Parts asked for before and now; none named means all of them."""
    return list(dict.fromkeys((*old, *new))) if old and new else []


def asked_before(out: Path, available: Mapping[str, Found]) -> tuple[list[Asked], list[str]]:
    """What was asked in `out` before -> (what can be asked again, a sentence for each claim that cannot).

    `available` are the claims that come with the package.
    """
    kept, lost = list[Asked](), list[str]()
    for name, entry in _remembered(out).items():
        try:
            if entry.get("recipe"):
                kept.append(adhoc.again(entry["recipe"]))
                continue
            found = discover.by_path(entry["path"]) if entry.get("path") else available.get(name)
            if found is None:
                raise ConfigError("there is no such claim any more.")
            one = Asked(found, entry["preset"], tuple(entry["parts"]), entry["seeds"], engine=entry.get("engine"))
            raise_if_any(one.errors())
            kept.append(one)
        except ConfigError as error:
            lost.append(f"claim {name!r}, asked here before, is left out: {' '.join(error.sentences)}")
    return kept, lost


def _remembered(out: Path) -> dict[str, dict[str, Any]]:
    file = out / "study.json"
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))["claims"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{str(file)!r} is damaged ({error}); remove it to begin a new study there.") from error


def out_errors(out: Path) -> Iterator[str]:
    """A sentence if results cannot be written under `out`."""
    yield from unwritable("results", "--out", out)
