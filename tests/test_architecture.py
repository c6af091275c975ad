"""The page of the house is true: its rooms are there, and its norm and its claim hold the rules."""

import re
from pathlib import Path

from rlnorm.nn import check
from rlnorm.study.claim.load import by_path
from rlnorm.study.claim.validate import errors

PAGE = (Path(__file__).parents[1] / "docs/architecture.md").read_text("utf-8")
NORM, CLAIM = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_file_that_it_names_is_there():
    root = Path(__file__).parents[1]
    names = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    files = [
        f"/{path.relative_to(root).as_posix()}"
        for folder in ("rlnorm", "tests")
        for path in (root / folder).rglob("*.py")
    ]
    assert len(names) > 10
    assert [name for name in names if not any(file.endswith(f"/{name}") for file in files)] == []


def test_its_norm_holds_the_laws(tmp_path: Path):
    path = tmp_path / "max_norm.py"
    path.write_text(NORM)
    report = check.check_norm(path)
    assert report.holds, str(report)


def test_its_claim_holds_the_rules(tmp_path: Path):
    path = tmp_path / "small_batches.py"
    path.write_text(CLAIM)
    assert list(errors(by_path(path).claim)) == []
