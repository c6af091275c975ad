"""docs/textbook.md says what the textbook computes."""

import re
from pathlib import Path

import numpy as np
import pytest
import textbook_figures

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "textbook.md").read_text(encoding="utf-8")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """All tables but that of training, whose last digits depend on the machine and which takes seconds."""
    monkeypatch.setattr(textbook_figures, "training_table", lambda: "")
    return textbook_figures.tables()


def test_the_page_holds_the_tables_as_computed(tables: dict[str, str]):
    for name in tables.keys() - {"training"}:
        assert f"<!-- {name} -->\n{tables[name]}\n<!-- end -->" in PAGE


def test_filling_leaves_a_page_that_is_up_to_date(tables: dict[str, str]):
    def without_training(page: str) -> str:
        return re.sub(r"<!-- training -->.*?<!-- end -->", "", page, flags=re.S)

    assert without_training(textbook_figures.filled(PAGE)) == without_training(PAGE)


def test_a_page_without_a_place_for_a_table_is_refused(tables: dict[str, str]):
    with pytest.raises(ValueError, match="one place for the table 'backward', found 0"):
        textbook_figures.filled(PAGE.replace("<!-- backward -->", ""))


def test_every_figure_is_shown_and_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(textbook_figures, "SEEDS", 1)
    monkeypatch.setattr(textbook_figures, "EPOCHS", 1)
    textbook_figures.trained.cache_clear()
    drawn = {f"figures/{name}.svg" for name, _ in textbook_figures.figures()}
    textbook_figures.trained.cache_clear()
    assert drawn == set(re.findall(r"\]\((figures/[^)]*)\)", PAGE))
    assert all((DOCS / name).is_file() for name in drawn)


def test_the_numbers_by_hand():
    bn = textbook_figures.worked_example()
    np.testing.assert_allclose(bn.dx[:, 0], [0.368, -0.176, -0.624, 0.432], atol=1e-12)
    assert bn.dx.sum() == pytest.approx(0, abs=1e-12)
    assert (bn.dx * bn.xhat).sum() == pytest.approx(0, abs=1e-12)
