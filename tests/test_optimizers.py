import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.optimizers import OPTIMIZERS
from tests.alone import torch_optimizer

RATES = st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=4)


def distance(name: str, rates: list[float], size: int, steps: int, scale: float, seed: int, own: list[float]) -> float:
    """Largest relative distance to torch's optimizer after `steps`, where ours run at the rates `own`."""
    rng = torch.Generator().manual_seed(seed)
    parameters = torch.randn(len(rates), size, generator=rng)
    rows = [torch.nn.Linear(size, 1, bias=False) for _ in rates]
    for row, start in zip(rows, parameters, strict=True):
        row.weight.data.copy_(start)
    ours = OPTIMIZERS[name](parameters, own)
    torchs = [torch_optimizer(name, row, rate) for row, rate in zip(rows, rates, strict=True)]
    travelled = torch.ones(len(rates), size)
    for _ in range(steps):
        before = parameters.clone()
        gradient = scale * torch.randn(len(rates), size, generator=rng)
        gradient[:, 0] = 0
        ours.step(gradient)
        for row, rule, g in zip(rows, torchs, gradient, strict=True):
            row.weight.grad = g.view(1, -1).clone()
            rule.step()
        travelled += (parameters - before).abs()
    expected = torch.cat([row.weight.detach() for row in rows])
    return ((parameters - expected).abs() / travelled).max().item()


@pytest.mark.parametrize("name", OPTIMIZERS)
@settings(deadline=None, max_examples=40)
@given(RATES, st.integers(1, 40), st.integers(1, 60), st.sampled_from([1e-6, 1e-2, 1.0, 1e3]), st.integers(0, 99))
def test_rows_are_torchs_optimizers(name, rates, size, steps, scale, seed):
    assert distance(name, rates, size, steps, scale, seed, rates) < 1e-5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_over_a_thousand_steps(name):
    assert distance(name, [1e-3, 1e-1], 5, 1000, 1.0, 0, [1e-3, 1e-1]) < 1e-5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_off_by_a_thousandth_would_show(name):
    assert distance(name, [0.1, 0.1], 5, 50, 1.0, 0, [0.1, 0.1001]) > 1e-4


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_nan_stays_in_its_row(name):
    parameters = torch.zeros(3, 2)
    rule = OPTIMIZERS[name](parameters, [0.1, 0.1, 0.1])
    for _ in range(3):
        rule.step(torch.tensor([[1.0, 2.0], [torch.nan, 1.0], [1.0, 2.0]]))
    assert parameters.isfinite().all(1).tolist() == [True, False, True]
    assert torch.equal(parameters[0], parameters[2])
