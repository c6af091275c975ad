"""How long the whole catalogue takes on many cores, from the project's own plan and from past runs.

python scripts/projection.py --past runs/full runs/study --seeds 64 --cores 100

Units are those of the plan of every claim at preset full, with nothing finished. An arm whose own best rate is not yet
known is planned at the first of its rates: which one it will be changes no number. A unit takes what finished units
like it took in the folders of `--past`, per step and agent (`rlnorm.study.forecast`); of the others there is an upper
bound alone, `--at-most` seconds, for no unit of the catalogue is meant to take longer.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from rlnorm.errors import raise_if_any, too_few
from rlnorm.showing import folder_errors
from rlnorm.study.claim import Effect
from rlnorm.study.claim.load import shipped
from rlnorm.study.forecast import expected
from rlnorm.study.plan import Request, Unit, plan
from rlnorm.study.plan.plan import arm_plan
from rlnorm.study.run import Store


def planned(seeds: int) -> list[Unit]:
    """Every unit of the catalogue at preset full, each once."""
    found = dict[str, Unit]()
    for file in shipped().values():
        request = Request(file, "full", seeds=seeds)
        own = [part.unit for part in plan(request, lambda unit: None).parts if part.unit is not None]
        arms = [
            unit
            for name, part in request.chosen().items()
            if isinstance(part, Effect)
            for arm in part.arms
            for unit in arm_plan(f"{request.id}, {name}", part, arm, "full", seeds, lambda part, _: part.rates[0]).units
        ]
        for unit in (*own, *arms):
            found.setdefault(unit.id, unit)
    return list(found.values())


def any_of(*known: Callable[[Unit], float | None]) -> Callable[[Unit], float | None]:
    """The first answer that there is."""
    return lambda unit: next((answer for each in known if (answer := each(unit)) is not None), None)


def main(past: tuple[Path, ...], seeds: int = 64, cores: int = 100, at_most: float = 600.0) -> None:
    """Print the projection.

    Args:
        past: Folders of finished studies, whose units tell how long units take.
        seeds: Judged seeds per arm.
        cores: Cores of the cluster.
        at_most: Seconds of a unit that none of the past is like.
    """
    wrong = [sentence for folder in past for sentence in folder_errors(folder)]
    raise_if_any([*wrong, *too_few({"--seeds": seeds, "--cores": cores})])
    work, seconds_of = planned(seeds), any_of(*(expected(Store(folder)) for folder in past))
    known = [seconds for unit in work if (seconds := seconds_of(unit)) is not None]
    bound = [at_most] * (len(work) - len(known))
    sizes = [path.stat().st_size for folder in past for path in Store(folder).files()]
    each = mean([*known, *bound])
    table = Table("", "units", "core hours", f"hours on {cores} cores", "units ending/s", "MB written")
    rows = {
        "like past units": (len(known), sum(known)),
        f"unlike any, at most {at_most:.0f} s each": (len(bound), sum(bound)),
        "the whole catalogue, at most": (len(work), each * len(work)),
        "10 000 units like these, at most": (10_000, each * 10_000),
    }
    for name, (count, seconds) in rows.items():
        hours = seconds / 3600
        ending = f"{count * cores / seconds:.2f}" if seconds else ""
        figures = f"{hours:.1f}", f"{hours / cores:.2f}", ending, f"{count * mean(sizes) / 1e6:.0f}"
        table.add_row(name, str(count), *figures)
    Console().print(table)


if __name__ == "__main__":
    # Here, so that what imports this file does not load them.
    from rlnorm.cli import guarded
    from rlnorm.validation.options import read, typed

    sys.exit(guarded(read(main, __doc__), typed()))
