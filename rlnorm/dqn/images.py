"""Replay memory of images: in their own dtype, each stored once.

s' of a transition is the s of that environment's next transition, except where an episode ended: there the next s
begins another episode. The last frames of episodes are still needed, for batch statistics of s' and for values beyond a
time limit; they are moved to a table beside the ring. A frame is moved if the next s differs from the s' that was
stored, so that samples equal what was added, whatever the environments do.
"""

import numpy as np
import torch
from torch import Tensor

from rlnorm.dqn.replay import Batch

Sample = tuple[Tensor, Tensor, Tensor]


class ImageReplay:
    """A ring of `capacity` transitions for each of N members with E environments each. It has `Replay`'s methods.

    Memory: N x (capacity + E) x (bytes of one image + 20), and one image for every last frame in the ring (the table
    doubles when it is full). 10^5 transitions of MinAtar's Breakout take 42 MB per agent and, in episodes of 10 steps,
    7 MB of last frames; with s and s' as floats they would take 321 MB.
    """

    def __init__(self, members: int, capacity: int, shape: tuple[int, ...], dtype: np.dtype, envs: int):
        # There are E slots more than transitions: they hold the newest s' until the next s come.
        self._slots, self._envs, self._capacity = capacity + envs, envs, capacity
        self.frames = np.zeros((members, self._slots, *shape), dtype=dtype)
        self.rows = np.zeros((members, self._slots, 3), dtype=np.float32)
        self.last = np.full((members, self._slots), -1)  # index of s' in the table; -1: s' is the next s
        self.table = np.zeros((1, *shape), dtype=dtype)
        self._unused = [0]
        self._first = torch.arange(members).unsqueeze(1) * self._slots
        self._added = 0

    @property
    def filled(self) -> int:
        """Number of transitions that each member holds."""
        return min(self._added, self._capacity)

    def add(
        self,
        observation: np.ndarray,
        successor: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        discount: np.ndarray,
    ) -> None:
        """Add one transition of every environment, overwriting the oldest. (N, E, *shape) twice, (N, E) three times."""
        here = np.arange(self._added, self._added + self._envs) % self._slots
        if self._added:
            expected = self.frames[:, here]
            ended = (expected != observation).reshape(*action.shape, -1).any(-1)
            if ended.any():
                members, envs = ended.nonzero()
                self.last[members, here[envs] - self._envs] = self._keep(expected[ended])
        self._unused.extend(self.last[:, here][self.last[:, here] >= 0].tolist())
        self.last[:, here] = -1
        self.frames[:, here] = observation
        self.frames[:, (here + self._envs) % self._slots] = successor
        self.rows[:, here] = np.stack([action, reward, discount], axis=-1)
        self._added += self._envs

    def _keep(self, frames: np.ndarray) -> list[int]:
        while len(self._unused) < len(frames):
            size = len(self.table)
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])
            self._unused.extend(range(size, 2 * size))
        where = [self._unused.pop() for _ in frames]
        self.table[where] = frames
        return where

    def sample(self, count: int, generator: torch.Generator) -> Sample:
        """`count` transitions for each member, drawn uniformly with replacement; the result is that of `at`."""
        return self.at(torch.randint(self.filled, (len(self.frames), count), generator=generator))

    def at(self, ages: Tensor) -> Sample:
        """Transitions by age (N, B), 0 = the newest. -> s, s' (N, B, *shape); a, r, discount (N, B, 3)"""
        slots = (self._added - 1 - ages) % self._slots
        here, next_ = slots + self._first, (slots + self._envs) % self._slots + self._first
        s_tm1, s_t, rows, last = (
            torch.from_numpy(array).flatten(0, 1).index_select(0, index.flatten())
            for array, index in ((self.frames, here), (self.frames, next_), (self.rows, here), (self.last, here))
        )
        ended = last >= 0
        s_t[ended] = torch.from_numpy(self.table)[last[ended]]
        return s_tm1.unflatten(0, ages.shape), s_t.unflatten(0, ages.shape), rows.unflatten(0, ages.shape)

    def unpack(self, sample: Sample) -> Batch:
        """A sample -> Batch, with images in their own dtype."""
        s_tm1, s_t, rows = sample
        a_tm1, r_t, discount_t = rows.unbind(-1)
        return Batch(s_tm1, s_t, a_tm1.long(), r_t, discount_t)
