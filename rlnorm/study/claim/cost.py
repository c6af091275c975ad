"""Cost parts: a ratio of times, measured interleaved in one process.

A part has two arms, each a piece of work that can be repeated. Machines speed up and slow down, so the arms take turns:
a repetition does every arm, in an order drawn anew, a few times over, and the fastest call is its score, since
disturbances only add time. A slowdown that outlasts a repetition slows all arms alike. The judge then answers the
part's question from the repetitions as from runs: a ratio of means with its interval.

The method cannot resolve differences of a few percent, and it speaks of this machine only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlnorm.study.claim.declare import Kind, Part
from rlnorm.study.claim.question import Metric, Question

Work = Callable[[], object]

SECONDS = Metric("seconds", "lower", "seconds a call")


@dataclass(frozen=True, kw_only=True)
class Cost(Part):
    """One question about two times.

    statement    the statement in one line
    arms         name -> builds the work to be timed: called once, in the process that measures
    question     on the scale "ratio"; seconds per call are the score, and fewer are better
    repetitions  turns that each arm gets
    chunk        seconds of work in one turn, three calls at least
    repeatable   every call does the same work, so the fastest of a turn counts. Else (a training from a new seed, say)
                 a turn is one call, and the interval also covers what differs between calls
    """

    statement: str
    arms: Mapping[str, Callable[[], Work]]
    question: Question
    repetitions: int = 24
    chunk: float = 0.005
    repeatable: bool = True

    @property
    def kind(self) -> Kind:
        return "cost"
