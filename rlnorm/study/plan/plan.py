"""From requests to plans: which units each part of a claim needs, as far as it can be said now.

Rates are chosen on finished selection units; the units that judge an arm at its best rate are planned after that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from rlnorm.study.claim import FIRST_JUDGED, Cost, Effect, Exact, Part, Preset
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.plan.request import Request
from rlnorm.study.plan.unit import Unit, training_unit

SELECTION = tuple(range(FIRST_JUDGED))  # seeds on which rates are chosen

RecordsOf = Callable[[Unit], Sequence[Mapping[str, Any]] | None]
"""The records of a finished unit; None while it is not finished."""


@dataclass(frozen=True)
class ArmPlan:
    """The units that choose an arm's rate, and those that judge it (None: its rate is not yet chosen)."""

    select: tuple[Unit, ...]
    judge: tuple[Unit, ...] | None
    rate: float | None

    @property
    def units(self) -> tuple[Unit, ...]:
        return (*self.select, *(self.judge or ()))


@dataclass(frozen=True)
class PartPlan:
    """One part of a request: the plan of each arm (effects), or the one unit that decides it (exact and cost parts)."""

    name: str
    part: Part
    arms: Mapping[str, ArmPlan]
    unit: Unit | None

    @property
    def units(self) -> list[Unit]:
        """Every unit of the part, each once: a negative control's choice of a rate is its reference's."""
        own = () if self.unit is None else (self.unit,)
        return _once(chain(own, *(arm.units for arm in self.arms.values())))


@dataclass(frozen=True)
class ClaimPlan:
    """A request with the plans of its parts."""

    request: Request
    parts: tuple[PartPlan, ...]


def plan(request: Request, records_of: RecordsOf) -> ClaimPlan:
    """The plan of a request, given what is finished."""
    return ClaimPlan(
        request, tuple(_part_plan(request, name, part, records_of) for name, part in request.chosen().items())
    )


def units(plans: Iterable[ClaimPlan]) -> list[Unit]:
    """Every unit that the plans need, once."""
    return _once(unit for each in plans for part in each.parts for unit in part.units)


def _once(units: Iterable[Unit]) -> list[Unit]:
    """Each unit once, as it was declared first."""
    found: dict[str, Unit] = {}
    for unit in units:
        found.setdefault(unit.id, unit)
    return list(found.values())


def best_rate(part: Effect, units: Sequence[Unit], records_of: RecordsOf) -> float | None:
    """The rate with the best mean score on the selection seeds, the lower of equals; None until all are finished."""
    scored, scores = METRICS[part.metric], list[float]()
    for unit in units:
        records = records_of(unit)
        if records is None:
            return None
        scores += [scored.score(records, unit.settings, i) for i in range(len(unit.seeds))]
    means = np.array(scores).reshape(len(SELECTION), len(part.rates)).mean(0)
    return part.rates[int(means.argmax() if scored.metric.better == "higher" else means.argmin())]


def grid_seeds(part: Effect) -> range:
    """The seeds on which a grid is judged: as many as choose a rate elsewhere."""
    return range(part.judged_from, part.judged_from + len(SELECTION))


def arm_plan(
    label: str,
    part: Effect,
    arm: str,
    preset: Preset,
    seeds: int,
    choose: Callable[[Effect, Sequence[Unit]], float | None],
) -> ArmPlan:
    """The units of one arm of a part; their labels begin with `label`.

    `choose(part, selection units)` gives the best rate there, or None while they are not all finished. A negative
    control takes the reference's rate: a rate of its own could hide its handicap.
    """

    def blocks(arm: str, seeds: Sequence[int], rates: Sequence[float], note: str = "") -> tuple[Unit, ...]:
        """Every seed at every rate, in units of no more agents than the engine trains as one population."""
        engine, settings, _ = _settled(part, arm)
        size = max(1, TRAINING[engine].block // len(rates))
        steps, found = part.experiment.steps[preset], list[Unit]()
        for block in (seeds[i : i + size] for i in range(0, len(seeds), size)):
            members = [(seed, rate) for seed in block for rate in rates]
            of = [seed for seed, _ in members], [rate for _, rate in members]
            found.append(training_unit(engine, settings, *of, steps, f"{label}: {arm}{note}, {_span(block)}"))
        return tuple(found)

    judged = range(part.judged_from, part.judged_from + seeds)
    note = f", {len(part.rates)} rates"
    if part.grid:
        return ArmPlan((), blocks(arm, grid_seeds(part), part.rates, note), None)
    if not part.rates:
        rate = _settled(part, arm)[2]
        return ArmPlan((), blocks(arm, judged, [rate]), rate)
    chooser = part.question.reference if arm == part.question.negative_control else arm
    select = blocks(chooser, SELECTION, part.rates, note)
    rate = choose(part, select)
    return ArmPlan(select, None if rate is None else blocks(arm, judged, [rate]), rate)


def _part_plan(request: Request, name: str, part: Part, records_of: RecordsOf) -> PartPlan:
    if not isinstance(part, Effect):
        return PartPlan(name, part, {}, _own_unit(request, name, part))

    def choose(part: Effect, units: Sequence[Unit]) -> float | None:
        return best_rate(part, units, records_of)

    label = f"{request.id}, {name}"
    arms = {arm: arm_plan(label, part, arm, request.preset, request.judged_seeds(), choose) for arm in part.arms}
    return PartPlan(name, part, arms, None)


def _own_unit(request: Request, name: str, part: Part) -> Unit:
    """The unit of an exact or a cost part, which its claim's file computes by itself."""
    assert isinstance(part, Exact | Cost)
    assert request.file.path is not None
    count, what = (part.cases, "cases") if isinstance(part, Exact) else (part.repetitions, "repetitions")
    settings = {"claim": request.id, "part": name}
    return Unit(part.kind, settings, (0,), (), count, f"{request.id}, {name}: {count} {what}", (request.file.path,))


def _settled(part: Effect, arm: str) -> tuple[str, dict[str, object], float]:
    """An arm's engine, its settings without the rate, and the common rate."""
    engine, settings = part.experiment.of(part.arms[arm])
    return engine, settings, float(settings.pop("lr"))  # pyright: ignore[reportArgumentType]


def _span(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
