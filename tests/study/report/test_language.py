"""Korean is complete: every text that is said has its translation, and every claim its sentence of the notes."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
import test_house
from studies import dqn_claim, exact_claim, relu_claim, study, unfinished_claim

from rlnorm.study.claim import Kind
from rlnorm.study.claim.load import headlines, shipped, shipped_folder
from rlnorm.study.claim.scored import SUMMARIES
from rlnorm.study.report import answers, describe, language, notes, terminal, wording
from rlnorm.study.report.html import EXAMPLES, SAY, view
from rlnorm.study.report.korean import SAID
from rlnorm.study.report.language import speaking, t
from rlnorm.supervised.settings import BUDGETS

ROOM = Path(language.__file__).parent
HANGUL = re.compile("[가-힣]")
# Said through a variable: the tables of texts.
TABLES = (
    answers.PREVIEWS, answers.DIRECTIONS, answers.SHORT, wording.MEANINGS, wording.CURVES, wording.QUESTIONS,
    wording.SPREAD_QUESTIONS, wording.EFFECT_QUESTIONS, SAY, view.CHANGES, notes.NOTES,
)  # fmt: skip
LISTS = (
    wording.OUTCOMES, get_args(Kind), [line for _, line in EXAMPLES], describe.ITEMS, wording.HOW_TO_READ,
    [name for name, _ in terminal.COLUMNS], view.ROLES, SUMMARIES, BUDGETS,
)  # fmt: skip


def said(text: str) -> Iterator[str]:
    """The constant texts that a module gives to `t`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t" and node.args:
            try:
                yield ast.literal_eval(node.args[0])
            except ValueError:
                continue


def said_in_template(text: str) -> Iterator[str]:
    """The constant texts that a template gives to `t`."""
    yield from (found[2] for found in re.finditer(r"\bt\((['\"])(.*?)\1[,)]", text))


def texts() -> set[str]:
    """Everything that the report's room says."""
    found = {text for table in TABLES for text in table.values()} | {text for texts in LISTS for text in texts}
    for path in ROOM.rglob("*.py"):
        found |= set(said(path.read_text("utf-8")))
    for path in ROOM.rglob("*.html"):
        found |= set(said_in_template(path.read_text("utf-8")))
    return found


def test_every_text_has_its_translation_and_no_translation_is_left_over():
    assert sorted(texts() - SAID.keys()) == []
    assert sorted(SAID.keys() - texts()) == []


def test_a_missing_text_is_noticed():
    assert set(said('t("a {b}", b=1); t(name); x.t("no")')) == {"a {b}"}
    assert set(said_in_template("{{ t('a') }} {{ t(\"b, c\", d=1) }} {{ result('no') }}")) == {"a", "b, c"}


@pytest.mark.parametrize("text", SAID)
def test_a_translation_is_korean_and_names_the_same_values(text: str):
    def names(of: str) -> list[str]:
        return sorted(re.findall(r"{(\w+)}", of))

    assert names(SAID[text]) == names(text)
    assert HANGUL.search(SAID[text]) or not re.search(r"[a-z]{2}", re.sub(r"{\w+}", "", text))


def test_the_four_verdicts_are_said_as_the_notes_would():
    with speaking("ko"):
        assert [t(outcome) for outcome in wording.OUTCOMES] == ["지지됨", "반박됨", "판단 보류", "근거 부족"]
    assert t("supported") == "supported"


def test_terminal_and_description_speak_korean_within_eighty_columns():
    every = study(dqn_claim(), relu_claim(), exact_claim(), unfinished_claim())
    with speaking("ko"):
        text, page = terminal.text(every, 80, verbose=True), describe.page(shipped()["dqn-ln"], 80)
    for shown in (text, page):
        assert max(map(language.width, shown.splitlines())) <= 80
    assert "DQN에서 층 정규화는 쓸모없다" in text
    assert "반박 쪽을 가리킴" in text
    assert "none 대비 layer: 더 나음" in text
    assert page.startswith("dqn-ln: DQN에서 층 정규화는 쓸모없다\n")
    assert "N0: DQN에서 층 정규화는 의미가 없거나 쓸 수 없다." in " ".join(page.split())


def lacking(claims: Mapping[str, set[str]]) -> list[str]:
    """Claims without a title in Korean, or, where a note makes them, without its sentence in both languages."""
    found = notes.listed()
    return [
        claim
        for claim, made_by in claims.items()
        if claim not in found or not HANGUL.search(found[claim].title_ko)
        or bool(made_by) != bool(found[claim].en and HANGUL.search(found[claim].ko))
    ]  # fmt: skip


def test_every_claim_of_the_catalogue_has_its_sentence_in_both_languages():
    assert lacking({claim: made_by for claim, (_, made_by) in test_house.LISTED.items()}) == []
    assert set(notes.listed()) == set(test_house.LISTED)
    assert lacking({"nobody": set(), "dqn-ln": set(), "dqn-joint-batch": {"N0"}}) == [
        "nobody",
        "dqn-ln",
        "dqn-joint-batch",
    ]


def test_the_page_of_the_notes_is_the_one_that_its_command_makes():
    claims = [(line.id, line.title, line.notes) for line in headlines(shipped_folder())]
    written = (Path(__file__).parents[3] / "docs" / "notes.md").read_text("utf-8")
    assert written == notes.page(claims)
    assert all(f"**{claim}**" in written for claim, _, made_by in claims if made_by)
