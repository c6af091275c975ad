"""Cost claims: a ratio of times, measured interleaved in one process.

A part has two arms, each a piece of work that can be done again and again. Machines speed up and slow down, so the arms
take turns: a repetition does every arm, in an order drawn anew, a few times over, and the fastest call is its score,
since disturbances only add time. What slows the machine down for longer than a repetition slows all arms alike. The
judge then answers the part's question from the repetitions as from runs: a ratio of means with its interval.

Not for questions about single-digit percentages, and of this machine only: the verdict says with how many repetitions.
"""

import gc
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlnorm.study import judge as judging
from rlnorm.study.claim import PRESETS, Kind, Preset
from rlnorm.study.judge import Judgement, Metric, Question, Sample

Record = Mapping[str, Any]
Work = Callable[[], object]

LEAST_CALLS = 3
KEPT = 31 * 2**20
SECONDS = Metric("seconds", "lower", "seconds a call")


@dataclass(frozen=True)
class Cost:
    """One question about two times.

    says         the statement in one line
    arms         name -> what builds the work to be timed: called once, in the process that measures
    question     on the scale "ratio"; seconds a call are the score, and fewer are better
    repetitions  turns that each arm gets
    chunk        seconds of work in one turn, three calls at least
    alike        whether every call does the same work, so that the fastest of a turn counts; else (a training from a
                 new seed, say) a turn is one call, and the interval is over what the calls differ in too
    """

    says: str
    arms: Mapping[str, Callable[[], Work]]
    question: Question
    repetitions: int = 24
    chunk: float = 0.005
    alike: bool = True
    presets: tuple[Preset, ...] = PRESETS
    kind: Kind = "cost"


def run(part: Cost, claim_id: str, seed: int, clock: Callable[[], float] = time.perf_counter) -> Iterator[Record]:
    """One record a repetition: step, and seconds a call for each arm. `seed` decides the order of turns."""
    rng = np.random.default_rng([seed, zlib.crc32(claim_id.encode())])
    _keep_freed_memory()
    works = {name: build() for name, build in part.arms.items()}
    calls = {name: _calls(work, part.chunk, clock) if part.alike else _once(work) for name, work in works.items()}
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


def judge(part: Cost, records: Iterable[Record]) -> Judgement:
    """The judge's answer, with the repetitions for runs; from the records alone."""
    rows = [record["seconds"] for record in records]
    samples = {
        name: Sample(np.array([row[name] for row in rows]), np.zeros(len(rows), dtype=bool)) for name in part.arms
    }
    return judging.judge(part.question, samples, SECONDS)


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
