"""Cost parts, timed by a clock that the test turns."""

import json
import platform
import resource
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rlnorm.study.claim import Cost, Question, Work
from rlnorm.study.judge.cost import judge
from rlnorm.study.run.timing import run


class Clock:
    """Stands still but for the work that turns it; runs fast or slow as a busy machine does."""

    def __init__(self, slowness: Callable[[float], float] = lambda now: 1.0):
        self.now, self.slowness, self.log = 0.0, slowness, []
        self.rng = np.random.default_rng(0)

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], Work]:
        """Work that takes about `seconds`."""

        def do() -> None:
            self.log.append(name)
            self.now += seconds * self.slowness(self.now) * self.rng.lognormal(0, 0.05)

        return lambda: do


def part(clock: Clock, factor: float, question: Question) -> Cost:
    arms = {"fast": clock.work("fast", 0.002), "slow": clock.work("slow", 0.002 * factor)}
    return Cost(statement="slow takes longer", arms=arms, question=question)


FASTER = Question(asks="superior", treatment="fast", reference="slow", margin=1.25, scale="ratio")
FREE = Question(asks="non-inferior", treatment="slow", reference="fast", margin=1.25, scale="ratio")


@pytest.mark.parametrize(
    ("question", "factor", "outcome"),
    [(FASTER, 1.5, "supported"), (FASTER, 1.0, "refuted"), (FREE, 1.05, "supported"), (FREE, 1.5, "refuted")],
)
def test_the_ratio_of_times_decides(question: Question, factor: float, outcome: str):
    clock = Clock()
    judgement = judge(part(clock, factor, question), run(part(clock, factor, question), "test", 0, clock))
    assert judgement.outcome == outcome
    expected = 1 / factor if question is FASTER else factor
    assert judgement.estimate == pytest.approx(expected, rel=0.03)
    assert judgement.n == 24


def test_a_machine_that_slows_down_slows_both_arms():
    clock = Clock(slowness=lambda now: 1 + now)
    ratio = part(clock, 1.5, FASTER)
    assert judge(ratio, run(ratio, "test", 0, clock)).estimate == pytest.approx(1 / 1.5, rel=0.05)


def test_arms_take_turns_in_an_order_drawn_anew():
    clock = Clock()
    list(run(part(clock, 1.0, FASTER), "test", 0, clock))
    firsts = clock.log[8::6]
    assert len(firsts) == 24
    assert 4 < firsts.count("fast") < 20


def test_a_chunk_holds_as_many_calls_as_fill_it():
    clock = Clock()
    records = list(run(part(clock, 0.1, FASTER), "test", 0, clock))
    assert [record["step"] for record in records] == list(range(1, 25))
    assert clock.log.count("fast") == 3 + 1 + 3 * 24
    assert clock.log.count("slow") > 20 * 24


def test_records_are_json_and_hold_every_arm():
    clock = Clock()
    records = list(run(part(clock, 1.5, FASTER), "test", 0, clock))
    assert json.loads(json.dumps(records)) == records
    assert all(set(record["seconds"]) == {"fast", "slow"} for record in records)


def test_no_records_decide_nothing():
    assert judge(part(Clock(), 1.5, FASTER), []).outcome == "insufficient"


def test_work_that_is_never_the_same_is_one_run_a_turn():
    clock = Clock()
    ratio = replace(part(clock, 1.5, FASTER), repeatable=False)
    records = list(run(ratio, "test", 0, clock))
    assert clock.log.count("fast") == clock.log.count("slow") == 1 + 24
    assert len({record["seconds"]["fast"] for record in records}) == 24


def test_freed_memory_is_kept_so_that_every_call_is_alike():
    def pages_fetched() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    ratio = part(Clock(), 1.5, FASTER)
    next(run(ratio, "test", 0))
    np.ones(2**17)  # fetches its pages where an earlier test has given all free ones back
    before = pages_fetched()
    for _ in range(50):
        np.ones(2**17)  # 1 MiB
    assert platform.libc_ver()[0] != "glibc" or pages_fetched() - before < 50
