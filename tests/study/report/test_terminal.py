"""The table of verdicts in the terminal."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from studies import all_diverged_claim, dqn_claim, exact_claim, relu_claim, study, unfinished_claim

from rlnorm.study.judge import ClaimResult, StudyResult
from rlnorm.study.judge.verdict import Judgement, Outcome, OverallDetails, Verdict
from rlnorm.study.report import answers, terminal, wording
from rlnorm.study.report.kept import Kept


def trained_out(claim: ClaimResult) -> ClaimResult:
    """The same, run at preset "full"."""
    parts = tuple(replace(part, verdict=replace(part.verdict, preset="full")) for part in claim.parts)
    return replace(claim, parts=parts, overall=replace(claim.overall, preset="full"))


EVERY_KIND = study(dqn_claim(), relu_claim(), relu_claim("updates"), exact_claim(), unfinished_claim())


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 120])
def test_first_there_is_a_line_a_claim_and_a_few_lines_of_how_to_read_it(width: int):
    text = terminal.text(EVERY_KIND, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 1 + 2 * len(EVERY_KIND.claims) + 5  # a rule, a warning, what brackets mean, how to read it
    assert re.search(r"^In DQN layer .*points to refuted +\+0\.243 \[\+0\.077, \+0\.325\] +16 ", text, re.MULTILINE)
    assert re.search(r"^The short .*refuted +200 of 200 miss +200", text, re.MULTILINE)
    for claim in EVERY_KIND.claims:
        assert claim.claim.title.split()[-1] in text
        assert claim.claim.statement not in flat(text)
    assert lines[-1].endswith("docs/evidence.md")


@pytest.mark.parametrize("width", [80, 120])
def test_with_verbose_every_claim_part_and_figure_is_there_and_no_line_is_too_long(width: int):
    text = terminal.text(EVERY_KIND, width, verbose=True)
    assert max(map(len, text.splitlines())) <= width
    for claim in EVERY_KIND.claims:
        assert claim.id in text
        assert claim.claim.statement in flat(text)
        assert answers.sentence(claim) in flat(text)
        for part in claim.parts:
            assert wording.sentence(part.verdict.judgement.reason) in flat(text)
    for figure in ("[+", "×1.25", "1e-06", "worst of 200", "16", "90 % interval"):
        assert figure in text


def test_claim_and_parts_show_their_own_verdicts():
    lines = terminal.text(study(dqn_claim()), 120, verbose=True).splitlines()
    assert any(re.fullmatch(r"dqn-ln: .+ points to refuted", line) for line in lines)
    assert any(re.search(r"own best rate.+0\.05 +16 +open so far$", line) for line in lines)


def test_the_kept_answer_stands_in_the_same_line():
    stands = {"bn-relu": Kept("bn-relu", "", "supported", "", "", "", ())}
    line = next(line for line in shown(study(relu_claim()), stands).splitlines() if line.startswith("With ReLU"))
    assert line.split()[-1] == "✓"
    assert "kept" not in shown(study(relu_claim()), {}).splitlines()[0]


def test_an_answer_to_an_earlier_design_stands_in_brackets_and_a_line_says_so():
    earlier = Kept("dqn-ln", "", "inconclusive", "", "", "", (), earlier=True)
    text = shown(study(dqn_claim(), relu_claim()), {"dqn-ln": earlier})
    assert next(line for line in text.splitlines() if line.startswith("In DQN")).split()[-1] == "(?)"
    assert text.count("Kept in brackets: the answer to an earlier design of the claim.") == 1
    assert "in brackets" not in shown(study(dqn_claim()), {"dqn-ln": replace(earlier, earlier=False)})


def test_a_preview_of_some_of_the_deciding_parts_is_marked_and_a_line_says_so():
    whole = dqn_claim()
    some = replace(whole, parts=whole.parts[:1])
    text = shown(study(some, relu_claim()), {})
    assert len(re.findall(r"points to refuted \* ", text)) == 1
    assert text.count("*: of some of the parts that decide the claim") == 1
    assert "*" not in shown(study(whole, trained_out(some)), {})


def shown(result: StudyResult, stands: dict[str, Kept]) -> str:
    return terminal.plain(terminal.table(result, stands=stands), 100)


@pytest.mark.parametrize("outcome", wording.OUTCOMES)
def test_a_preview_is_said_in_other_words_and_another_colour(outcome: Outcome):
    whole = dqn_claim()
    overall = replace(whole.overall, judgement=replace(whole.overall.judgement, outcome=outcome))
    preview, full = replace(whole, overall=overall), trained_out(replace(whole, overall=overall))
    words = {answers.word(outcome, answers.is_preview_of(each)) for each in (preview, full)}
    assert len(words) == (1 if outcome == "insufficient" else 2)
    styles = {str(terminal._outcome(outcome, answers.is_preview_of(each)).style) for each in (preview, full)}
    assert len(styles) == len(words)


def test_a_file_gets_plain_text_and_a_terminal_colours():
    plain, coloured = StringIO(), StringIO()
    terminal.show(EVERY_KIND, Console(file=plain, width=80))
    terminal.show(
        EVERY_KIND, Console(file=coloured, width=80, force_terminal=True, color_system="standard", no_color=False)
    )
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in coloured.getvalue()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (study(dqn_claim()), True),
        (study(trained_out(dqn_claim())), False),
        (study(dqn_claim(), trained_out(relu_claim()), preset="full"), True),
        (study(exact_claim(), preset="quick"), False),
        (study(exact_claim(), relu_claim(), preset="smoke"), True),
    ],
)
def test_half_trained_agents_are_called_so_and_only_where_there_are_any(result: StudyResult, said: bool):
    assert ("half trained" in terminal.text(result)) == said


def test_diverged_runs_are_mentioned():
    assert "50 % of both arms' runs diverged." in terminal.text(study(all_diverged_claim()), verbose=True)
    assert "diverged" not in terminal.text(study(relu_claim()), verbose=True)


def test_brackets_in_user_text_are_not_taken_for_markup():
    claim = exact_claim()
    written = replace(claim.claim, statement="[bold]x[/bold] [0, 1]", title="[red]y[/red]")
    text = terminal.text(study(replace(claim, claim=written)), verbose=True)
    assert "[red]y[/red]" in text
    assert "[bold]x[/bold] [0, 1]" in text


def test_nothing_to_show_is_said():
    assert "no verdict" in terminal.text(replace(study(), claims=()))


@pytest.mark.parametrize(
    ("value", "shown", "signed"),
    [
        (0.05, "0.050", "+0.050"),
        (-1.234, "-1.23", "-1.23"),
        (12.34, "12.3", "+12.3"),
        (475, "475", "+475"),
        (3e-12, "3.0e-12", "+3.0e-12"),
        (0, "0", "0"),
        (None, "–", "–"),
        (float("nan"), "–", "–"),
        (float("inf"), "–", "–"),
        (True, "–", "–"),
    ],
)
def test_numbers_are_short(value: object, shown: str, signed: str):
    assert wording.number(value) == shown
    assert wording.number(value, signed=True) == signed


def test_a_verdict_without_figures_has_dashes():
    nothing = Verdict("c", "p", Judgement("insufficient", "Nothing has run."))
    assert {
        wording.estimate(nothing, "ratio"),
        wording.interval(nothing, "ratio"),
        wording.margin(nothing, "ratio"),
    } == {"–"}
    assert wording.seeds(nothing, "difference") == wording.interval(nothing, "error") == "–"


@pytest.mark.parametrize(("seconds", "said"), [(None, ""), (9.6, "10 s"), (274, "4 min 34 s"), (7300, "2 h 1 min")])
def test_durations(seconds: float | None, said: str):
    assert wording.duration(seconds) == said


def test_a_refuted_formula_shows_its_smallest_counterexample():
    assert "Smallest counterexample: x = [0.0, 1.0]; dy = [1.0, -0.5];" in flat(
        terminal.text(study(exact_claim()), verbose=True)
    )
    assert "counterexample" not in terminal.text(study(dqn_claim()), verbose=True)


def test_groups_and_what_does_not_count_are_told():
    whole = dqn_claim()
    _, second = whole.claim.parts
    parts = {**whole.claim.parts, second: replace(whole.claim.parts[second], decisive=False)}
    judgement = Judgement("refuted", "CartPole-v1: refuted.", OverallDetails({"CartPole-v1": "refuted"}))
    grouped = replace(whole, overall=replace(whole.overall, judgement=judgement))
    text = terminal.text(study(replace(grouped, claim=replace(whole.claim, parts=parts))), 120, verbose=True)
    assert "CartPole-v1: refuted." in text
    assert "own best rate (beside)" in text
    assert text.count("(beside)") == 1
    assert "CartPole-v1: refuted." not in terminal.text(study(whole), verbose=True)
