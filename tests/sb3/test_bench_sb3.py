"""The benchmark of `learn` holds ours against the right thing, in turn. No time is asserted."""

from pathlib import Path

import bench_sb3 as bench
import pytest
from bench_layers import Pieces
from torch import nn

from tests.sb3.learning import DISCRETE, FLAT


def test_the_peer_has_torchs_layers_where_ours_has_ours():
    for norm in bench.SWAPS:
        ours, peer = (
            policy(FLAT, DISCRETE, lambda _: 1e-3, net_arch=[8], norm=norm)
            for policy in (bench.DQNPolicy, bench.TorchsDQNPolicy)
        )
        for network in ("q_net", "q_net_target"):
            kinds = [type(policy.get_submodule(f"{network}.q_net.norm1")) for policy in (ours, peer)]
            assert [kind.__module__.split(".")[0] for kind in kinds] == ["rlnorm", "torch"]
        assert isinstance(peer.q_net.q_net.activation1, nn.ReLU)


def test_rounds_are_in_turn_and_the_order_alternates(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench, "ROUNDS", 2)
    order = []
    pair = (lambda steps: order.append(("ours", steps)), lambda steps: order.append(("other", steps)))
    row = bench.measure(bench.Case("layer 64-64", "torch.nn's layers", 500, lambda: pair))
    warm, first, second = order[:2], order[2:4], order[4:]
    assert warm == [("ours", 400), ("other", 400)]
    assert first == second[::-1] == [("other", 500), ("ours", 500)]
    assert f"| layer 64-64 | torch.nn's layers | {row.ours:.3f} |" in bench.page([row])


def test_cases_have_names_of_their_own_and_the_page_takes_any_of_them():
    names = [case.name for case in bench.cases()]
    assert len(set(names)) == len(names) == 2 * (len(bench.SWAPS) + 1) + len(bench.WATCHED)
    assert bench.page([]).endswith("|---|---|---|---|---|\n")


def test_rows_are_kept_and_the_page_follows_the_order_of_the_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(bench, "measure", lambda case: bench.row(case.name, [(1.0, 2.0)]))
    rows, page = tmp_path / "rows.json", tmp_path / "page.md"
    for only in ("NormCallback DQN", "layer 64-64"):
        bench.main(Pieces(only, rows, page))
    cases = [line.split(" | ")[0] for line in page.read_text().splitlines() if line.startswith("| ")]
    assert cases == ["| case", "| layer 64-64", "| NormCallback DQN"]
