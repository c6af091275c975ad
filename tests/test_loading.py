"""Modules loaded by path: once, known by name, and with one sentence for what cannot be loaded."""

import sys
from pathlib import Path

import pytest

from rlnorm.errors import ConfigError
from rlnorm.loading import load_module


def test_a_module_is_loaded_once_and_known_by_its_name(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text("x = [1]")
    first = load_module(path, "test_loading_mine", "claim", "CLAIM = Claim(...)")
    assert first.x == [1]
    assert sys.modules["test_loading_mine"] is first
    assert load_module(path, "test_loading_mine", "claim", "CLAIM = Claim(...)") is first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no claim file at"),
        ("x = ", "does not import: SyntaxError"),
        ("1 / 0", "does not import: ZeroDivisionError in line 1: division by zero"),
        ("raise SystemExit(3)", "does not import: SystemExit in line 1: 3"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_sentence_and_leaves_nothing(tmp_path: Path, text: str | None, said: str):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_module(path, "test_loading_wrong", "claim", "CLAIM = Claim(...)")
    assert "test_loading_wrong" not in sys.modules
