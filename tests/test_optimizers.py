import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.optimizers import OPTIMIZERS, SGD, clip_by_norm
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


@pytest.mark.parametrize("momentum", [0.0, (0.0, 0.5, 0.99)])
def test_momentum_is_one_for_all_or_each_rows_own(momentum, rng):
    parameters = torch.randn(3, 4, generator=rng)
    rows = [torch.nn.Parameter(row.clone()) for row in parameters]
    each = [momentum] * 3 if isinstance(momentum, float) else momentum
    ours = SGD(parameters, [0.1, 0.2, 0.3], momentum)
    theirs = [torch.optim.SGD([p], lr=lr, momentum=m) for p, lr, m in zip(rows, [0.1, 0.2, 0.3], each, strict=True)]
    for _ in range(10):
        gradient = torch.randn(3, 4, generator=rng)
        ours.step(gradient)
        for row, rule, g in zip(rows, theirs, gradient, strict=True):
            row.grad = g.clone()
            rule.step()
    torch.testing.assert_close(parameters, torch.stack([row.detach() for row in rows]))


@pytest.mark.parametrize("limit", [0.5, torch.tensor([[0.5], [2.0], [100.0]])])
def test_clipping_is_torchs_row_by_row(limit, rng):
    gradient = torch.randn(3, 6, generator=rng)
    expected = []
    for own, each in zip(gradient, torch.as_tensor(limit).expand(3, 1), strict=True):
        row = torch.nn.Parameter(torch.zeros(6))
        row.grad = own.clone()
        torch.nn.utils.clip_grad_norm_([row], float(each))
        expected.append(row.grad)
    torch.testing.assert_close(clip_by_norm(gradient, limit), torch.stack(expected))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_nan_stays_in_its_row(name):
    parameters = torch.zeros(3, 2)
    rule = OPTIMIZERS[name](parameters, [0.1, 0.1, 0.1])
    for _ in range(3):
        rule.step(torch.tensor([[1.0, 2.0], [torch.nan, 1.0], [1.0, 2.0]]))
    assert parameters.isfinite().all(1).tolist() == [True, False, True]
    assert torch.equal(parameters[0], parameters[2])


def test_clip_of_a_nan_or_nothing_stays_in_its_row():
    clipped = clip_by_norm(torch.tensor([[3.0, 4.0], [torch.nan, 1.0], [0.0, 0.0]]), 1.0)
    torch.testing.assert_close(clipped[0], torch.tensor([0.6, 0.8]))
    assert clipped[1].isnan().all()
    assert clipped[2].tolist() == [0, 0]
