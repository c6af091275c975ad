import sys
from pathlib import Path

import pytest
import tiny

from rlnorm.errors import ConfigError
from rlnorm.study.claim import load


def test_a_folder_gives_its_claims_in_order_without_helpers(tmp_path: Path):
    for name in ("zeta", "alpha_beta"):
        tiny.effect(tmp_path, name)
    (tmp_path / "_helper.py").write_text("raise RuntimeError('nobody loads a helper')")
    (tmp_path / "__init__.py").write_text("")
    found = load.Claims(tmp_path)
    assert list(found) == ["alpha-beta", "zeta"]
    assert found["alpha-beta"].claim.statement == "Of alpha_beta: LayerNorm is better."
    assert not found["zeta"].own


def test_a_claim_given_by_path_knows_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny.effect(tmp_path, "my_claim")
    monkeypatch.chdir(tmp_path)
    found = load.by_path("my_claim.py")
    assert (found.id, found.own, found.path) == ("my-claim", True, tmp_path / "my_claim.py")
    assert found.name == str(tmp_path / "my_claim.py")


def test_two_claims_of_one_file_name_stay_apart(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        text = tiny.effect(tmp_path / folder).read_text().replace("Of tiny", f"Of {folder}")
        (tmp_path / folder / "tiny.py").write_text(text)
    statements = [load.by_path(tmp_path / folder / "tiny.py").claim.statement for folder in "aba"]
    assert [statement.split(":")[0] for statement in statements] == ["Of a", "Of b", "Of a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X = 1", "declares no claim; expected it to end in CLAIM = Claim(...), got None"),
        ("CLAIM = 'LayerNorm is useless'", "got 'LayerNorm is useless'"),
        ("import no_such_module_anywhere", "does not import: ModuleNotFoundError"),
        ("CLAIM = Claim(", "does not import: SyntaxError"),
    ],
)
def test_a_file_without_a_claim_is_one_clear_error(tmp_path: Path, text: str, said: str):
    path = tmp_path / "broken_claim.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match="broken_claim") as caught:
        load.by_path(path)
    assert said in str(caught.value)
    assert len(caught.value.sentences) == 1
    assert "does not import" not in said or "rlnorm_claim_broken_claim" not in sys.modules


def test_a_path_without_a_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="no claim file at"):
        load.by_path(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("units", "a claim cannot have the id 'units', which results have another use for; rename the file."),
        ("tensorboard", "a claim cannot have the id 'tensorboard', which results have another use for"),
        ("report.html", "a claim cannot have the id 'report.html': a dot makes it a file of results"),
        ("..", "a claim cannot have the id '..': a dot"),
        ("한" * 60, "a claim's id has at most 150 bytes, which "),
        ("\udced\udc95", "which is no text here; rename the file, or set PYTHONUTF8=1."),
    ],
)
def test_an_id_that_results_cannot_have_is_refused(tmp_path: Path, name: str, said: str):
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('it is not even loaded')")
    with pytest.raises(ConfigError, match=said.replace(".", r"\.").replace("(", r"\(")):
        load.by_path(tmp_path / f"{name}.py")


def test_two_files_of_one_id_are_refused_together(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        tiny.effect(tmp_path / folder, "c")
    first, second = (str(tmp_path / folder / "c.py") for folder in "ab")
    assert [one.id for one in load.named([first, first], {})] == ["c"]
    with pytest.raises(ConfigError, match="are both claim 'c'; rename one of the files"):
        load.named([first, second], {})
