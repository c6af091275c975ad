import pytest
import torch
from torch import Tensor
from torch.func import functional_call, hessian
from torch.nn.functional import cross_entropy

from rlnorm.networks import mlp
from rlnorm.nn import set_mode
from rlnorm.supervised.landscape import along_gradient, gradient_of, hessian_ends, lanczos
from rlnorm.supervised.learners import Learners


def symmetric(members: int, size: int, rng: torch.Generator) -> Tensor:
    a = torch.randn(members, size, size, generator=rng, dtype=torch.float64)
    return a + a.mT


@pytest.mark.parametrize("size", [1, 2, 6, 20])
def test_with_as_many_products_as_dimensions_the_ends_are_exact(size, rng):
    a = symmetric(3, size, rng)
    values = torch.linalg.eigvalsh(a)
    low, high = lanczos(lambda v: (a @ v.unsqueeze(2)).squeeze(2), torch.zeros(3, size, dtype=torch.float64), size)
    torch.testing.assert_close(low, values[:, 0])
    torch.testing.assert_close(high, values[:, -1])


def test_twenty_products_find_the_ends_of_a_large_matrix(rng):
    """Spread as a Hessian's eigenvalues are: a bulk and some outliers."""
    values = torch.cat([torch.linspace(-0.5, 1, 295), torch.tensor([-3.0, 4.0, 6.0, 9.0, 20.0])]).double()
    basis = torch.linalg.qr(torch.randn(300, 300, generator=rng, dtype=torch.float64)).Q
    a = basis @ values.diag() @ basis.T
    low, high = lanczos(lambda v: v @ a, torch.zeros(1, 300, dtype=torch.float64), 20)
    assert high.item() == pytest.approx(20, rel=1e-4)
    assert low.item() == pytest.approx(-3, rel=0.02)


def test_an_invariant_subspace_ends_the_recurrence():
    low, high = lanczos(lambda v: 3 * v, torch.zeros(2, 50), 20)
    assert high.tolist() == pytest.approx([3, 3])
    assert low.abs().max() <= 3


def test_a_member_that_is_not_finite_stays_alone(rng):
    a = symmetric(2, 5, rng)
    expected = torch.linalg.eigvalsh(a)[1]
    a[0] = torch.nan
    low, high = lanczos(lambda v: (a @ v.unsqueeze(2)).squeeze(2), torch.zeros(2, 5, dtype=torch.float64), 5)
    assert low.isnan().tolist() == high.isnan().tolist() == [True, False]
    torch.testing.assert_close(torch.stack([low[1], high[1]]), expected[[0, -1]])


def quadratic(curvatures: Tensor):
    """L = sum_j c_j w_j^2 / 2 for each member: gradient c w, Hessian diag(c)."""
    return lambda w: 0.5 * (curvatures * w.square()).sum(1)


def test_the_hessian_of_a_quadratic_has_its_curvatures():
    curvatures = torch.tensor([[1.0, 4.0, -2.0], [0.5, 0.25, 7.0]])
    low, high = hessian_ends(quadratic(curvatures), torch.ones(2, 3))
    assert high.tolist() == pytest.approx([4, 7], rel=1e-4)
    assert low.tolist() == pytest.approx([-2, 0.25], rel=1e-4)


def test_along_the_gradient_of_a_quadratic():
    """With one curvature c: L(w - a lr c w) = (1 - a lr c)^2 L(w), and the gradient falls by the factor 1 - a lr c."""
    c, w, rates = 2.0, torch.full((2, 4), 3.0), torch.tensor([[0.1], [0.5]])
    found = along_gradient(quadratic(torch.full((2, 4), c)), w, rates, (0.5, 2.0))
    start = 0.5 * c * 36
    change = [[((1 - a * rate * c) ** 2 - 1) * start for a in (0.5, 2.0)] for rate in (0.1, 0.5)]
    assert found["loss_low"].tolist() == pytest.approx([min(each) for each in change], rel=1e-4)
    assert found["loss_high"].tolist() == pytest.approx([max(each) for each in change], rel=1e-4, abs=1e-4)
    assert found["gradient_turn"].tolist() == pytest.approx([2 * 0.1 * c, 2 * 0.5 * c], rel=1e-4)
    assert found["smoothness"].tolist() == pytest.approx([c, c], rel=1e-4)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "weight"])
def test_the_ends_are_those_of_the_full_hessian_of_a_network(norm, rng):
    """Of every kind of norm: products go through the second derivative of its backward pass."""
    ours = Learners(lambda: mlp(3, 2, hidden=(4,), norm=norm, activation="tanh", bias=False), (0, 1), (0.1, 0.1))
    x, labels = torch.randn(2, 8, 3, generator=rng), torch.randint(2, (2, 8), generator=rng)
    population = ours.population
    views = population.parameters.views

    def named(flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split([view[0].numel() for view in views.values()], -1)
        return {n: part.reshape(*flat.shape[:-1], *v.shape[1:]) for (n, v), part in zip(views.items(), parts)}

    def loss(flat: Tensor) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in population.buffers.views.items()}
        return ours.losses(named(flat), buffers, x, labels, "train")

    low, high = hessian_ends(loss, population.flat, products=100)
    for i in range(2):
        module = set_mode(population.member(i), "batch")

        def alone(flat: Tensor, module=module, i: int = i) -> Tensor:
            return cross_entropy(functional_call(module, named(flat), (x[i],)), labels[i])

        full = hessian(alone)(population.flat[i])
        assert isinstance(full, Tensor)
        values = torch.linalg.eigvalsh(full.double())
        assert high[i].item() == pytest.approx(values[-1].item(), rel=1e-3)
        assert low[i].item() == pytest.approx(values[0].item(), rel=1e-2, abs=1e-4)


def test_the_gradient_is_autograds(rng):
    w = torch.randn(3, 5, generator=rng)
    value, gradient, _ = gradient_of(quadratic(torch.ones(3, 5)), w)
    torch.testing.assert_close(value.detach(), 0.5 * w.square().sum(1))
    torch.testing.assert_close(gradient, w)
