"""Words of a command line: numbers as people write them, errors in a sentence."""

from pathlib import Path

import pytest

from rlnorm.arguments import App, Whole, sentence, setting, whole, with_question
from rlnorm.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "number"), [("16", 16), ("1e5", 100_000), ("100_000", 100_000), ("-3", -3), ("2.0", 2)]
)
def test_whole_numbers_are_read_as_people_write_them(text: str, number: int):
    assert whole(text) == number


@pytest.mark.parametrize("text", ["1.5", "many", "", "inf", "nan"])
def test_what_is_no_whole_number_is_said(text: str):
    with pytest.raises(ValueError, match="expected a whole number such as 16 or 1e5, got"):
        whole(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=0.98", 0.98),
        ("x=1e4", 10_000),
        ("x=64,64", (64, 64)),
        ("x = [32, 32]", [32, 32]),
        ("x=True", True),
        ("x=none", None),
        ("x=huber", "huber"),
        ("x={'eps': 1e-3}", {"eps": 1e-3}),
    ],
)
def test_settings_are_read_by_name(text: str, value: object):
    assert setting(text) == ("x", value)


@pytest.mark.parametrize("text", ["x", "x=", "=3"])
def test_what_is_no_setting_is_said(text: str):
    with pytest.raises(ConfigError, match=r"expected name=value, such as discount=0\.98"):
        setting(text)


QUESTION = """
env = "Acrobot-v1"
norms = ["none", "layer"]
seeds = 8
[option]
discount = 0.98
hidden = [32, 32]
double = true
"""


def test_a_question_may_stand_in_a_file(tmp_path: Path):
    file = tmp_path / "question.toml"
    file.write_text(QUESTION)
    words = with_question(["train", str(file), "--seeds", "4"])
    assert words[:7] == ["train", "--env", "Acrobot-v1", "--norms", "none,layer", "--seeds", "8"]
    assert words[-2:] == ["--seeds", "4"]
    assert dict(map(setting, words[8:13:2])) == {"discount": 0.98, "hidden": [32, 32], "double": True}
    assert with_question(["run", "x.toml"]) == ["run", "x.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read: No such file"), ("env =", "is no TOML: Invalid value"), ("option = 3", "must be a table")],
)
def test_a_question_that_cannot_be_read_is_said(tmp_path: Path, text: str | None, said: str):
    file = tmp_path / "question.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        with_question(["train", str(file)])


def app() -> tuple[App, list[int]]:
    """An app of two commands that note what they were called with."""
    made, called = App("The end."), list[int]()

    @made.command
    def walk(*, steps: Whole = 3) -> None:
        """Walk."""
        called.append(steps)

    @made.command(name="stand-still")
    def stand() -> None:
        """Stand."""
        called.append(0)

    return made, called


def test_words_are_read_before_anything_is_done():
    made, called = app()
    action = made.read(["walk", "--steps", "1e2"], "prog", "")
    assert called == []
    action()
    made.read(["stand-still"], "prog", "")()
    assert called == [100, 0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wlak"], "unknown command 'wlak'. Did you mean 'walk'? Expected one of: stand-still, walk."),
        ([], "expected one of {walk, stand-still}. See `prog --help`."),
        (["walk", "--stpes", "3"], "unrecognized options: --stpes, 3. Did you mean '--steps'? See `prog walk --help`."),
        (
            ["walk", "--steps", "x"],
            "--steps: expected a whole number such as 16 or 1e5, got 'x'. See `prog",
        ),
    ],
)
def test_every_error_is_one_sentence(words: list[str], said: str):
    with pytest.raises(ConfigError) as told:
        app()[0].read(words, "prog", "")
    assert len(told.value.sentences) == 1
    assert told.value.sentences[0].startswith(said)


@pytest.mark.parametrize(
    "box",
    [
        "╭─ No ─╮\n│ Not   │\n│ so.   │\n╰───────╯",
        "╭─ No ─╮\n│ Not   │\n│ so.   │\n│ ────── │\n│ More │\n╰───────╯",
        " No\n ------ \n  Not\n  so.\n  ------ \n More\n ",
        " No\n ------ \n  Not\n  so.\n ",
    ],
    ids=["frame", "frame with more", "hyphens with more", "hyphens"],
)
def test_any_box_is_read(box: str):
    assert sentence(box, "prog") == "not so. See `prog --help`."


def test_the_help_of_the_program_ends_with_its_epilogue(capsys: pytest.CaptureFixture[str]):
    for words, ends in ((["--help"], True), (["walk", "--help"], False)):
        with pytest.raises(SystemExit):
            app()[0].read(words, "prog", "")
        assert capsys.readouterr().out.endswith("The end.\n") == ends
