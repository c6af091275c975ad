"""TensorBoard as a person meets it: the answer and the return stand first, every tab named in the README has data."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import Seen
from studies import dqn_claim, exact_claim, relu_claim, study

from rlnorm.study.report import tensorboard

pytestmark = pytest.mark.browser
SLOW = 60_000  # milliseconds: TensorBoard draws when it likes
STUDY = study(dqn_claim(), relu_claim(), exact_claim())


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a board."""
    folder = tmp_path_factory.mktemp("board")
    tensorboard.write(STUDY, folder)
    with tensorboard.serving(folder / tensorboard.FOLDER) as (address, _):
        yield address


def opened(seen: Seen, board: str, tab: str) -> Seen:
    seen.page.goto(f"{board}#{tab}")
    return seen


def test_the_first_cards_are_the_answers_and_the_return(seen: Seen, board: str):
    port = int(board.rstrip("/").rpartition(":")[2])
    seen.page.goto(tensorboard.address(port, ["rollout/ep_rew_mean"]))
    cards = seen.page.locator("metrics-pinned-view card-view")
    cards.nth(1).wait_for(timeout=SLOW)
    titles = [cards.nth(i).locator("tb-truncated-path").first.inner_text() for i in range(2)]
    assert [title.replace("\n", "") for title in titles] == ["forest plot/answers", "rollout/ep_rew_mean"]
    assert seen.page.get_by_role("checkbox").first.is_checked()
    cards.nth(1).locator("path, canvas").first.wait_for(timeout=SLOW)


def test_the_first_margin_chart_is_the_return_and_is_drawn(seen: Seen, board: str):
    page = opened(seen, board, "custom_scalars").page
    cards = page.locator("tf-custom-scalar-margin-chart-card")
    title = cards.locator("text=/rate: /").first
    title.wait_for(timeout=SLOW)
    assert title.inner_text().strip() == "CartPole-v1, common rate: Return"
    path = cards.first.locator("svg path.line, svg path.confidence-interval-plot, svg path.area").first
    path.wait_for(state="attached", timeout=SLOW)
    page.wait_for_function(
        "path => (path.getAttribute('d') || '').length > 200", arg=path.element_handle(), timeout=SLOW
    )
    # and a chart that is not drawn is noticed
    path.evaluate("path => path.setAttribute('d', '')")
    assert not re.search(r"\d", path.get_attribute("d") or "")


@pytest.mark.parametrize(
    ("tab", "data"),
    [
        ("hparams", "text=dqn-ln/CartPole-common/layer >> nth=0"),
        ("text", "text=In DQN layer normalization is useless >> nth=0"),
        ("images", "img >> nth=0"),
        ("distributions", "tf-distribution-loader:has-text('activations/1 before norm') path >> nth=0"),
        ("histograms", "tf-histogram-loader:has-text('activations/1 before norm') path >> nth=0"),
    ],
)
def test_every_tab_has_data(seen: Seen, board: str, tab: str, data: str):
    opened(seen, board, tab).page.locator(data).wait_for(state="attached", timeout=SLOW)


def test_a_tab_without_data_is_noticed(seen: Seen, tmp_path: Path):
    tensorboard.write(study(exact_claim()), tmp_path)
    with tensorboard.serving(tmp_path / tensorboard.FOLDER) as (address, _):
        page = opened(seen, address, "images").page
        page.wait_for_timeout(3000)
        assert page.locator("tf-image-loader img").count() == 0
