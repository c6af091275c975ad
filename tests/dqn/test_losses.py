import pytest
import torch
import torch.nn.functional as F

from rlnorm.dqn.losses import (
    LOSSES,
    chosen,
    double_q_learning_target,
    huber,
    q_learning_target,
    squared,
)


def test_targets_by_hand():
    r_t, discount_t = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.9, 0.0, 0.5])
    q_t = torch.tensor([[1.0, 3.0], [7.0, 9.0], [-4.0, -2.0]])
    selector = torch.tensor([[5.0, 4.0], [0.0, 1.0], [9.0, 8.0]])
    torch.testing.assert_close(q_learning_target(r_t, discount_t, q_t), torch.tensor([3.7, 2.0, -2.0]))
    torch.testing.assert_close(double_q_learning_target(r_t, discount_t, q_t, selector), torch.tensor([1.9, 2.0, -3.0]))


def test_targets_over_leading_axes(rng):
    r_t, discount_t = torch.rand(2, 3, 5, generator=rng)
    q_t, selector = torch.randn(2, 3, 5, 4, generator=rng)
    plain, double = q_learning_target(r_t, discount_t, q_t), double_q_learning_target(r_t, discount_t, q_t, selector)
    for i in range(3):
        for j in range(5):
            best = max(range(4), key=lambda a: selector[i, j, a].item())
            assert plain[i, j] == pytest.approx((r_t[i, j] + discount_t[i, j] * max(q_t[i, j])).item())
            assert double[i, j] == pytest.approx((r_t[i, j] + discount_t[i, j] * q_t[i, j, best]).item())


def test_double_with_its_own_selector_is_plain(rng):
    r_t, discount_t, q_t = torch.rand(5, generator=rng), torch.rand(5, generator=rng), torch.randn(5, 3, generator=rng)
    assert torch.equal(double_q_learning_target(r_t, discount_t, q_t, q_t), q_learning_target(r_t, discount_t, q_t))


def test_chosen_takes_the_actions_values(rng):
    q, a = torch.randn(3, 5, 4, generator=rng), torch.randint(4, (3, 5), generator=rng)
    assert chosen(q, a).tolist() == [[q[i, j, a[i, j]].item() for j in range(5)] for i in range(3)]


def test_huber_and_squared_are_their_formulas_and_peers():
    prediction = torch.tensor([0.0, 0.5, 1.0, 1.5, -4.0], requires_grad=True)
    target = torch.zeros(5)
    torch.testing.assert_close(huber(prediction, target), torch.tensor([0, 0.125, 0.5, 1.0, 3.5]))
    torch.testing.assert_close(squared(prediction, target), torch.tensor([0, 0.25, 1.0, 2.25, 16.0]))
    # stable-baselines3's and CleanRL's.
    assert torch.equal(huber(prediction, target).mean(), F.smooth_l1_loss(prediction, target))
    assert torch.equal(squared(prediction, target).mean(), F.mse_loss(prediction, target))
    (slope,) = torch.autograd.grad(huber(prediction, target).sum(), prediction)
    assert slope.tolist() == [0, 0.5, 1, 1, -1]
    (slope,) = torch.autograd.grad(squared(prediction, target).sum(), prediction)
    assert slope.tolist() == [0, 1, 2, 3, -8]


def test_every_loss_is_tested():
    assert {"huber": huber, "squared": squared} == LOSSES
