import pytest

from tests.dqn.watching import Watched


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """What the runs of this test do."""
    return Watched(monkeypatch)
