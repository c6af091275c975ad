"""Runs uses over subjects: on all cores, and in two processes where a use needs a process group."""

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist

from rlnorm import compiling
from rlnorm.errors import raise_if_any
from rlnorm.validation.compatibility import by_class, derivatives, graphs, keeping, training
from rlnorm.validation.compatibility.outcome import Outcome, Use, outcome
from rlnorm.validation.compatibility.subjects import SUBJECTS

GROUPS = {
    "Copies and files": keeping.USES,
    "Graphs": graphs.USES,
    "Numbers and derivatives": derivatives.USES,
    "Training": training.USES,
    "Tools that find batch norms by torch's class": by_class.USES,
}
"""Heading of a table -> its uses."""
USES: Mapping[str, Use] = {use.name: use for uses in GROUPS.values() for use in uses}
Cell = tuple[str, str]
"""Names of a use and of a subject."""
CELLS: Sequence[Cell] = tuple((use, subject) for use in USES for subject in SUBJECTS)


def missing() -> Iterator[str]:
    """A sentence for each thing that a use needs and this machine lacks."""
    packages = dict.fromkeys(package for use in USES.values() for package in use.packages)
    if lacking := [package for package in packages if importlib.util.find_spec(package) is None]:
        yield f"the page of compatibility needs {', '.join(lacking)}: pip install 'rlnorm[compatibility]'."
    if not compiling.available():
        yield "the page of compatibility needs a C++ compiler and Python's headers, for torch.compile."


def outcomes(cells: Sequence[Cell] = CELLS) -> Iterator[tuple[Cell, Outcome]]:
    """What comes of each cell, on all cores.

    Raises ConfigError, before anything runs, where a package or the compiler is missing.
    """
    raise_if_any(missing())
    alone = [cell for cell in cells if USES[cell[0]].processes == 1]
    paired = [cell for cell in cells if USES[cell[0]].processes == 2]
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_alone_on_a_core) as pool:
        yield from zip(alone, pool.map(_cell, alone, chunksize=4))
    yield from zip(paired, in_two_processes(paired))


def _alone_on_a_core() -> None:
    """One thread; and silence, since exporters print from C++ what Python cannot catch."""
    torch.set_num_threads(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _cell(cell: Cell) -> Outcome:
    use, subject = cell
    return outcome(USES[use], SUBJECTS[subject])


def in_two_processes(cells: Sequence[Cell]) -> list[Outcome]:
    """What comes of each cell in the first of two processes joined by gloo."""
    if not cells:
        return []
    with TemporaryDirectory() as folder:
        member = partial(_member, str(Path(folder) / "store"), cells)
        with ProcessPoolExecutor(2, get_context("spawn"), initializer=_alone_on_a_core) as pool:
            first, _ = pool.map(member, range(2))
    return first


def _member(store: str, cells: Sequence[Cell], rank: int) -> list[Outcome]:
    timeout = timedelta(minutes=5)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=timeout)
    try:
        return [_cell(cell) for cell in cells]
    finally:
        dist.destroy_process_group()
