import pickle
from pathlib import Path

import pytest

from rlnorm.errors import ConfigError, raise_if_any, too_few, unknown, unwritable_file


def test_all_sentences_are_raised_at_once():
    with pytest.raises(ConfigError) as caught:
        raise_if_any(sentence for sentence in ("a is wrong.", "b is wrong."))
    assert caught.value.sentences == ("a is wrong.", "b is wrong.")
    assert str(caught.value) == "a is wrong.\nb is wrong."
    raise_if_any([])


def test_an_unknown_name_is_said_with_the_nearest_and_what_was_expected():
    assert unknown("norm", "lyer", ["none", "layer"]) == (
        "unknown norm 'lyer'. Did you mean 'layer'? Expected one of: layer, none."
    )
    assert unknown("norm", "xyz", ["none", "layer"]) == "unknown norm 'xyz'. Expected one of: layer, none."
    assert unknown("claim", "a", ["b"], "an id").endswith("Expected an id.")


def test_counts_below_one_are_named():
    assert list(too_few({"steps": 0, "batch": 1, "envs": -2})) == [
        "steps must be at least 1, got 0.",
        "envs must be at least 1, got -2.",
    ]


def test_a_file_needs_its_folder(tmp_path: Path):
    begin = f"cannot write the page to --write '{tmp_path}"
    assert list(unwritable_file("the page", "--write", tmp_path / "page.md")) == []
    assert list(unwritable_file("the page", "--write", tmp_path)) == [
        f"{begin}': it is a folder; expected a file's name."
    ]
    assert list(unwritable_file("the page", "--write", tmp_path / "no" / "page.md")) == [
        f"{begin}/no/page.md': there is no folder '{tmp_path}/no'."
    ]


def test_survives_the_way_from_one_process_to_another():
    assert str(pickle.loads(pickle.dumps(ConfigError("a", "b")))) == "a\nb"
