"""Measures a cost part: its arms take turns in one process (`rlnorm.study.claim.cost` says why)."""

import gc
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from rlnorm.study.claim import Cost, Record, Work

LEAST_CALLS = 3
KEPT = 31 * 2**20


def run(part: Cost, claim_id: str, seed: int, clock: Callable[[], float] = time.perf_counter) -> Iterator[Record]:
    """One record a repetition: step, and seconds a call for each arm. `seed` decides the order of turns."""
    rng = np.random.default_rng([seed, zlib.crc32(claim_id.encode())])
    _keep_freed_memory()
    works = {name: build() for name, build in part.arms.items()}
    calls = {name: _calls(work, part.chunk, clock) if part.repeatable else _once(work) for name, work in works.items()}
    names = list(works)
    gc.collect()
    for step in range(1, part.repetitions + 1):
        gc.disable()  # garbage is collected between repetitions, not in them
        seconds = {}
        for i in rng.permutation(len(names)):
            work = works[names[i]]
            seconds[names[i]] = min(_timed(work, clock) for _ in range(calls[names[i]]))
        gc.enable()
        yield {"step": step, "seconds": {name: seconds[name] for name in names}}


def _keep_freed_memory() -> None:
    """Let the process keep large blocks that are freed.

    glibc gives them back and fetches them anew, page by page, in every call, until one as large was freed: from 32 MiB
    on always, below as it happened. The same inference took 1.3 ms in one process and 4 ms in another.
    """
    np.empty(KEPT, np.uint8)  # and freed at once


def _timed(work: Work, clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _once(work: Work) -> int:
    """One call a turn, after one that allocates and does not count."""
    work()
    return 1


def _calls(work: Work, chunk: float, clock: Callable[[], float]) -> int:
    """How many calls fill a chunk; the first calls, which allocate and compile, do not count."""
    for _ in range(3):
        work()
    return max(LEAST_CALLS, int(chunk / max(_timed(work, clock), 1e-9)))
