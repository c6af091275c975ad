"""Returns of training episodes. Steps are only stored; sums are made over many steps at once, when they are needed."""

import numpy as np

MOST, BYTES = 256, 2**22  # largest number of stored steps, and of bytes of their observations


class Episodes:
    """Training episodes of N members in E environments each.

    discount      gamma, for the returns of `last`
    observation   (N, E, *shape), the first observations of the first episodes
    success       an episode with at least this return has met the goal
    """

    def __init__(self, discount: float, observation: np.ndarray, success: float = float("inf")):
        most, each = max(1, min(MOST, BYTES // observation.nbytes)), observation.shape[:2]
        self._discount, self._waiting = discount, 0
        self._rewards, self._ended = np.zeros((most, *each)), np.zeros((most, *each), dtype=bool)
        self._observations = np.zeros((most, *observation.shape), dtype=observation.dtype)
        # Of the episodes that have not ended: sum of rewards, of discounted rewards, steps.
        self._sum, self._discounted, self._age = np.zeros(each), np.zeros(each), np.zeros(each, dtype=int)
        self._began = observation.copy()
        self._last_began, self._last_return = observation.copy(), np.full(each, np.nan)
        self._finished = np.zeros((2, len(observation)))  # returns, episodes
        self._success, self._steps = success, 0
        self._first_success = np.full(len(observation), np.nan)

    def step(self, reward: np.ndarray, ended: np.ndarray, observation: np.ndarray) -> None:
        """Store one step: rewards and ends of episodes, (N, E) each, and the next observations (N, E, *shape)."""
        i = self._waiting
        self._rewards[i], self._ended[i], self._observations[i] = reward, ended, observation
        self._waiting += 1
        if self._waiting == len(self._rewards):
            self._sum_up()

    def take(self) -> list[float]:
        """Mean return of the episodes that ended since the last call, one per member; NaN if none ended."""
        self._sum_up()
        returns, episodes = self._finished
        with np.errstate(invalid="ignore"):
            means = np.where(episodes > 0, returns / episodes, np.nan)
        self._finished[:] = 0
        return means.tolist()

    def last(self) -> tuple[np.ndarray, np.ndarray]:
        """The first observation (N, E, *shape) and the discounted return (N, E) of each environment's last episode.

        It is the last episode that ended. The return is NaN if none has ended yet.
        """
        self._sum_up()
        return self._last_began, self._last_return

    def first_success(self) -> np.ndarray:
        """The step at which each member's first successful episode ended, counted from 1; (N,), NaN if none has."""
        self._sum_up()
        return self._first_success

    def _sum_up(self) -> None:
        count, self._waiting = self._waiting, 0
        if not count:
            return
        rewards, ended = self._rewards[:count], self._ended[:count]
        self._look_for_success(rewards, ended)
        self._steps += count
        at = np.arange(count)[:, None, None]
        # The last end in each environment and the end before it; -1: there is none among these steps.
        last = np.where(ended, at, -1).max(0)
        before = np.where(ended & (at < last), at, -1).max(0)
        some, several = last >= 0, before >= 0
        # The steps of the last episode that ended, and of the one that has not; `start`: the step at which each began.
        newest, under_way = (at > before) & (at <= last), at > last
        start = np.where(under_way & some, last + 1, np.where(several, before + 1, -self._age))
        discounted = rewards * self._discount ** np.maximum(at - start, 0)

        self._finished[0] += (np.where(some, self._sum, 0) + rewards.sum(0, where=~under_way)).sum(1)
        self._finished[1] += ended.sum((0, 2))
        self._last_began[some], self._last_began[several] = (
            self._began[some],
            self._observations[before[several], *several.nonzero()],
        )
        discounted_return = np.where(several, 0, self._discounted) + discounted.sum(0, where=newest)
        self._last_return[some] = discounted_return[some]

        self._sum = np.where(some, 0, self._sum) + rewards.sum(0, where=under_way)
        self._discounted = np.where(some, 0, self._discounted) + discounted.sum(0, where=under_way)
        self._age = np.where(some, count - 1 - last, self._age + count)
        self._began[some] = self._observations[last[some], *some.nonzero()]

    def _look_for_success(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        unmet = np.isnan(self._first_success)
        if self._success == float("inf") or not unmet.any():
            return
        # Sums since the episodes under way began; what stood at an end is taken off after it.
        total = self._sum + rewards.cumsum(0)
        end = np.maximum.accumulate(np.where(ended, np.arange(len(ended))[:, None, None], -1))
        before = np.concatenate([np.full_like(end[:1], -1), end[:-1]])
        returns = total - np.where(before < 0, 0, np.take_along_axis(total, np.maximum(before, 0), 0))
        met = (ended & (returns >= self._success)).any(2)
        found = unmet & met.any(0)
        self._first_success[found] = self._steps + 1 + met.argmax(0)[found]
