"""The losses of DQN as functions of Q-values, with time in their names (Mnih et al. 2015; van Hasselt et al. 2016).

Shapes: q_* (..., actions), a_tm1 (...) int, r_t and discount_t (...); results (...). Subscripts: `tm1` is the step at
which the action was taken, `t` the next one. discount_t = gamma, or 0 where the episode terminated.
"""

from torch import Tensor
from torch.nn.functional import huber_loss, mse_loss


def q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """r_t + discount_t max_a q_t(a), the target of Q-learning; (...)."""
    return r_t + discount_t * q_t.amax(-1)


def double_q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, q_t_selector: Tensor) -> Tensor:
    """r_t + discount_t q_t(argmax_a q_t_selector(a)): the online network selects, the target network values; (...)."""
    a_t = q_t_selector.argmax(-1, keepdim=True)
    return r_t + discount_t * q_t.gather(-1, a_t).squeeze(-1)


def chosen(q_tm1: Tensor, a_tm1: Tensor) -> Tensor:
    """Q of the actions that were taken; (...)."""
    return q_tm1.gather(-1, a_tm1.unsqueeze(-1)).squeeze(-1)


def huber(prediction: Tensor, target: Tensor) -> Tensor:
    """Huber loss with threshold 1, element-wise: d^2 / 2 for |d| <= 1, |d| - 1/2 beyond."""
    return huber_loss(prediction, target, reduction="none")


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """(prediction - target)^2, element-wise (as in CleanRL, without a factor 1/2)."""
    return mse_loss(prediction, target, reduction="none")


LOSSES = {"huber": huber, "squared": squared}
