from collections.abc import Iterator

import gymnasium as gym
import pytest

from tests.dqn.watching import Watched


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """What the runs of this test do."""
    return Watched(monkeypatch)


@pytest.fixture
def lights() -> Iterator[str]:
    """The id of a game of images that is learnt in a few steps."""
    gym.register("Lights-v0", entry_point="tests.dqn.test_images:Lights")
    yield "Lights-v0"
    del gym.registry["Lights-v0"]
