"""Small runs of the DQN engine, and what they did step by step."""

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import rlnorm.dqn
from rlnorm.dqn.agents import Agents
from rlnorm.dqn.replay import Replay

loop = importlib.import_module("rlnorm.dqn.train")  # the package's attribute of that name is the function
Records = list[dict[str, Any]]
FAST = {
    "env": "CartPole-v1",
    "seeds": [0, 1],
    "rates": [1e-3, 1e-3],
    "steps": 400,
    "hidden": (16, 16),
    "starts": 100,
    "batch": 16,
    "buffer": 1000,
    "train_every": 10,
    "target_every": 50,
    "probes": 2,
}


def start(**changes: object) -> Iterator[dict[str, Any]]:
    settings: dict[str, Any] = {**FAST, **changes}
    return rlnorm.dqn.train(**settings)


def run(**changes: object) -> Records:
    return list(start(**changes))


def rows(records: Records) -> list[str]:
    """Records as text: equal to the last digit, NaN equal to itself."""
    return [json.dumps(record) for record in records]


class Watched:
    """What a run did, in order: everything stored, and at which step it updated and copied the target."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.added: list[tuple[np.ndarray, ...]] = []
        self.updates: list[int] = []
        self.copies: list[int] = []
        self.order: list[str] = []
        self.greedy: list[np.ndarray] = []
        self.agents: Agents
        self.step = 0
        watched = self

        class WatchedReplay(Replay):
            def add(self, *args: np.ndarray, **named: np.ndarray) -> None:
                transitions = (*args, *named.values())
                watched.added.append(tuple(np.array(field) for field in transitions))
                watched.step += transitions[2].shape[1]
                super().add(*args, **named)

        class WatchedAgents(Agents):
            def __init__(self, *args: Any, **kwargs: Any):
                super().__init__(*args, **kwargs)
                watched.agents, update = self, self.update

                def watched_update(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                    watched.updates.append(watched.step)
                    watched.order.append("update")
                    return update(rows)

                self.update = watched_update

            def update_target(self, times: int = 1) -> None:
                watched.copies += [watched.step] * times
                watched.order += ["copy"] * times
                super().update_target(times)

        monkeypatch.setattr(loop, "Replay", WatchedReplay)
        monkeypatch.setattr(loop, "Agents", WatchedAgents)
