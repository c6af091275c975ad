"""When a DQN run explores, stores, updates, copies its target and records."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from rlnorm.population import RECORDS


def epsilon_at(step: int, steps: int, epsilon: tuple[float, float, float]) -> float:
    """Probability of a random action after `step` of `steps`: linear from start to end over a fraction, then constant.

    epsilon   (start, end, fraction)
    """
    start, end, fraction = epsilon
    return start + (end - start) * min(step / (fraction * steps), 1.0)


def record_due(before: int, step: int, steps: int) -> bool:
    """Whether a record is due between two counts of steps: a run has at most 100, evenly spread over the budget."""
    return step * RECORDS // steps > before * RECORDS // steps


class Turn(NamedTuple):
    """One step of all environments. Events happen in the order of the fields.

    step           environment steps of one agent, this turn included
    epsilon        probability of a random action
    only_random    whether every action is random, whatever epsilon is
    assisted       whether a rule acts in the first environment
    stores         whether the transitions enter the replay
    copies_before  how many target copies come before the updates
    updates        how many updates come
    copies_after   how many target copies come after the updates
    records        whether a record is due
    last           whether the budget is used up: the agents are evaluated and saved
    """

    step: int
    epsilon: float
    only_random: bool
    assisted: bool
    stores: bool
    copies_before: int
    updates: int
    copies_after: int
    records: bool
    last: bool


@dataclass(frozen=True)
class Schedule:
    """The turns of a run, in order; all counts of steps are environment steps of one agent.

    steps         the budget
    envs          environments of one agent, stepped together: steps of one turn
    epsilon       (start, end, fraction of the budget)
    starts        steps before the first update can come
    train_every   every multiple of it beyond `starts` brings `updates` updates
    copy_every    every multiple of it brings a target copy; None: there is no target network
    collect       steps whose transitions are stored; None: all
    only_random   steps at the beginning whose actions are all random
    assisted      fraction of the budget in which a rule acts in the first environment
    copies_first  whether copies come before the updates of the same turn
    coins         random numbers of one turn that decide between random and greedy actions: one for each environment of
                  an agent, or one for all of them
    """

    steps: int
    envs: int
    epsilon: tuple[float, float, float]
    starts: int
    train_every: int
    updates: int
    copy_every: int | None
    collect: int | None
    only_random: int
    assisted: float
    copies_first: bool
    coins: int

    def __iter__(self) -> Iterator[Turn]:
        for step in range(self.envs, self.steps + 1, self.envs):
            before = step - self.envs
            # A turn can pass several multiples where there are many environments.
            due = max(step, self.starts) // self.train_every - max(before, self.starts) // self.train_every
            copies = 0 if self.copy_every is None else step // self.copy_every - before // self.copy_every
            last = step + self.envs > self.steps
            yield Turn(
                step=step,
                epsilon=epsilon_at(before, self.steps, self.epsilon),
                only_random=before < self.only_random,
                assisted=before < self.assisted * self.steps,
                stores=self.collect is None or step <= self.collect,
                copies_before=copies if self.copies_first else 0,
                updates=due * self.updates,
                copies_after=0 if self.copies_first else copies,
                records=last or record_due(before, step, self.steps),
                last=last,
            )
