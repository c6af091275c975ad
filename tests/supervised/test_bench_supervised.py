"""The benchmark holds ours against the same network of torch's. No time is asserted."""

from typing import Any

import bench_supervised as bench
import pytest
import torch

from rlnorm.networks import mlp


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_the_peer_is_the_same_network_of_torchs_modules(norm):
    peer = bench.plain(norm)
    ours = mlp(bench.SIZES[0], bench.SIZES[-1], hidden=bench.SIZES[1:-1], norm=norm)
    assert {type(module).__module__.split(".")[0] for module in peer} == {"torch"}
    ours.load_state_dict(peer.state_dict())
    x = bench.batch()[0][0]
    torch.testing.assert_close(ours(x), peer(x))


def test_every_side_learns_and_the_table_has_its_ratios(monkeypatch):
    monkeypatch.setattr(bench, "MEMBERS", 2)
    given = bench.batch()
    step: Any = bench.ours("batch", given, compile=False)
    losses = [step() for _ in range(30)]
    assert (losses[-1] < losses[0] - 0.05).all()
    rows: list[Any] = bench.compare(0.001, 1, compile=False)
    assert [row["norm"] for row in rows] == ["none", "batch", "layer"]
    for row in rows:
        assert row["loop / ours"] == pytest.approx(row["loop"] / row["ours"], rel=0.1)
        assert row["bound: loop / products"] > 0
