"""Agents that a comparison saves, and videos of them."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from rlnorm import dqn, filming
from rlnorm.study.plan import plan, units
from rlnorm.study.plan.request import compared
from rlnorm.study.run import Store
from rlnorm.study.run.worker import AGENTS, execute


class Camera(gym.Wrapper[Any, Any, Any, Any]):
    """Stands in for RecordVideo, whose moviepy need not be installed: writes how many pictures it saw."""

    def __init__(self, env: gym.Env[Any, Any], folder: str, _: object):
        super().__init__(env)
        self.folder, self.shapes = Path(folder), list[tuple[int, ...]]()

    def step(self, action: Any) -> Any:
        found = super().step(action)
        picture: Any = self.env.render()
        self.shapes.append(picture.shape)
        return found

    def close(self) -> None:
        self.folder.mkdir()
        (self.folder / "rl-video-episode-0.mp4").write_text(f"{len(self.shapes)} {self.shapes[0]}")
        super().close()


def test_agents_are_saved_where_they_are_asked_for_and_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = compared("CartPole-v1", ["none", "layer"], 2, 1_200)
    first, second = units([plan(asked, Store(tmp_path).records)])
    assert execute(first, tmp_path).how == "finished"
    assert filming.saved(asked, tmp_path) == []
    (tmp_path / AGENTS).mkdir()
    assert execute(second, tmp_path).how == "finished"
    (folder,) = filming.saved(asked, tmp_path)
    assert folder.name == f"layer-seeds-200-201-{second.id[:6]}"
    assert sorted(path.name for path in folder.iterdir()) == ["agent0.pt", "agent1.pt"]
    assert dqn.load(folder / "agent0.pt")
    monkeypatch.setattr(filming, "RecordVideo", Camera)
    count, _, shape = filming.film(folder, "CartPole-v1").read_text().partition(" ")
    assert 5 <= int(count) <= 500
    assert shape == "(400, 600, 3)"


def test_why_no_video_can_be_made_is_said_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filming, "find_spec", lambda _: None)
    assert list(filming.errors("CartPole-v1", video=True, save=False)) == [
        "--video films the agents that --save saves; give both.",
        "--video needs moviepy, which is not installed: `pip install moviepy`.",
    ]
    assert list(filming.errors("CartPole-v1", video=False, save=True)) == []
