"""What a study will do, before it does it: its units, those that are there already, and the time the others take."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rlnorm.study.plan import Request, Unit, plan, units
from rlnorm.study.plan.unit import like
from rlnorm.study.report.wording import duration
from rlnorm.study.run import Store, unfinished
from rlnorm.study.run.rows import Damaged, read


@dataclass(frozen=True)
class Forecast:
    """`missing` are the units that would be done now.

    later    arms whose units are planned once their rates are chosen
    seconds  of work on one core for what can be foreseen; None where no unit like it has been done before
    unknown  how many of the missing units no past run is like
    """

    units: tuple[Unit, ...]
    missing: tuple[Unit, ...]
    later: int
    seconds: float | None
    unknown: int

    def lines(self, jobs: int) -> Iterator[str]:
        """The forecast as plain lines, each missing unit by its label."""
        reused = len(self.units) - len(self.missing)
        yield from (f"to do: {unit.label}" for unit in self.missing)
        yield f"{len(self.units)} units of work, {reused} of them finished and reused."
        if self.later:
            yield f"Units of {self.later} arms follow, once their own best rates are chosen."
        if not self.missing:
            return
        if self.seconds is None:
            yield "How long it takes is unknown: nothing like it has been run here."
            return
        more = f", and {self.unknown} units unlike any that was run here" if self.unknown else ""
        yield f"About {duration(self.seconds / jobs)} with {jobs} at a time, by past runs in this folder{more}."


def forecast(requests: Sequence[Request], out: Path) -> Forecast:
    """What the requests need in `out`; nothing is written."""
    store = Store(out)
    plans = [plan(one, store.records) for one in requests]
    planned = units(plans)
    missing = unfinished(planned, store)
    later = sum(arm.judge is None for each in plans for part in each.parts for arm in part.arms.values())
    seconds_of = expected(store)
    known = [seconds for unit in missing if (seconds := seconds_of(unit)) is not None]
    unknown = len(missing) - len(known)
    return Forecast(tuple(planned), tuple(missing), later, sum(known) if known or not missing else None, unknown)


def expected(store: Store) -> Callable[[Unit], float | None]:
    """What says of a unit how many seconds it takes on one core, by finished units like it; None: there is none."""
    found: dict[tuple[object, ...], list[float]] = {}
    for path in store.files():
        # A damaged file tells no pace; whether it is reused is for the store to say.
        with suppress(Damaged, FileNotFoundError):
            rows = read(path)
            size = rows.header["steps"] * max(len(rows.header["seeds"]), 1)
            found.setdefault(like(rows.header["engine"], rows.header["settings"]), []).append(rows.seconds / size)
    paces = {kind: median(values) for kind, values in found.items()}

    def seconds(unit: Unit) -> float | None:
        pace = paces.get(like(unit.engine, unit.settings))
        return None if pace is None else pace * unit.steps * max(len(unit.seeds), 1)

    return seconds
