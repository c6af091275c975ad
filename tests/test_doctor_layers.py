"""Axes of biases and statistics, gains of any shape, and the words of a report."""

from typing import Any

import numpy as np
import planted
import pytest
import torch
from planted import found
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import rlnorm.nn as ours
from rlnorm.doctor import Report, check


class Sequences(nn.Module):
    """(n, t, 6) -> (n, t, 2), with a norm behind a Linear with a bias."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.layer, self.norm, self.out = nn.Linear(6, 5), norm, nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.layer(x)).relu())


class ChannelsLast(nn.Module):
    """A batch norm over the last axis of (n, t, 5)."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(0, 1)).view_as(x)


X = torch.randn(20, 7, 6, generator=torch.Generator().manual_seed(0))


class TestAxes:
    """A bias has one value per feature; on sequences these stand on the last axis."""

    @pytest.mark.parametrize(
        "norm",
        [
            nn.LayerNorm(5), nn.RMSNorm(5), nn.GroupNorm(1, 7), nn.BatchNorm1d(7), nn.InstanceNorm1d(7),
            ours.LayerNorm(5), ours.RMSNorm(5), ours.BatchNorm1d(7), ours.BatchRenorm1d(7), ours.InstanceNorm1d(7),
            ours.MeanOnlyBatchNorm1d(7),
        ],
        ids=lambda norm: f"{type(norm).__module__.split('.')[0]} {type(norm).__name__}",
    )  # fmt: skip
    def test_a_bias_that_a_norm_keeps_is_not_called_useless(self, norm: nn.Module):
        report = check(Sequences(norm).eval(), inputs=X)
        assert (report.findings, dict(report.unchecked)) == ((), {}), report

    def test_one_that_it_takes_off_is_found(self):
        class Net(Sequences):
            def forward(self, x: Tensor) -> Tensor:
                h = self.layer(x.flatten(0, 1))
                return self.out(self.norm(h).relu()).unflatten(0, x.shape[:2])

        assert found(check(Net(nn.BatchNorm1d(5)).eval(), inputs=X)) == {"bias-before-norm"}

    @pytest.mark.parametrize("norm", [nn.InstanceNorm2d(8), ours.InstanceNorm2d(8), nn.BatchNorm2d(8)])
    def test_channels_are_the_units_behind_a_convolution(self, norm: nn.Module):
        net = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.Flatten(), nn.Linear(512, 2)).eval()
        assert found(check(net)) == {"bias-before-norm"}

    def test_statistics_over_the_last_axis_are_held_against_it(self):
        net = Sequences(ChannelsLast()).eval()
        ours.update_bn([X], net)
        assert check(net, inputs=X).findings == ()


class TestGains:
    """Gamma, beta and gains have any shape."""

    def decayed(self, net: nn.Module) -> Report:
        return check(planted.decaying(net.eval(), 0.1))

    @pytest.mark.parametrize("make", [nn.LayerNorm, ours.LayerNorm, nn.RMSNorm, ours.RMSNorm])
    def test_of_a_norm_over_a_map(self, make: Any):
        net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), make((8, 8, 8)), nn.Flatten(), nn.Linear(512, 2))
        report = self.decayed(net)
        assert found(report) == {"decayed-gain"}
        assert " values of 1" in report.findings[0].evidence

    @pytest.mark.filterwarnings("ignore::FutureWarning")
    @pytest.mark.parametrize("wrap", [parametrizations.weight_norm, nn.utils.weight_norm, ours.WeightNorm])
    def test_of_a_weight_norm(self, wrap: Any):
        report = self.decayed(nn.Sequential(wrap(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)))
        assert found(report) == {"decayed-gain"}
        assert "on 8 values of 0" in report.findings[0].evidence

    def test_weights_of_a_module_that_only_looks_like_a_norm_are_none(self):
        class NormalHead(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.eye(4))

            def forward(self, x: Tensor) -> Tensor:
                return x @ self.weight

        assert found(self.decayed(nn.Sequential(NormalHead(), nn.Linear(4, 2)))) == set()


class TestSpeech:
    def test_norms_that_no_pass_reaches_are_named(self):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.net, self.spare = planted.network(), nn.BatchNorm1d(3)

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x)

        net = Net().eval()
        report = check(net)
        assert report.unreached == ("spare",)
        said = str(report)
        assert "Not reached by the pass: spare." in said
        assert said.endswith("Nothing found by the checks made.")

    def test_values_that_hardly_vary_are_not_held_against_rounding(self):
        net: Any = planted.network()
        with torch.no_grad():
            for p in net[3].parameters():
                p.zero_()
            net[3].bias.fill_(1e4)
        assert check(net, inputs=np.full((64, 4), 3.7)).findings == ()
