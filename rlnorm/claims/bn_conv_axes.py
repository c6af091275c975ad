"""Behind a convolution batch normalization counts every pixel of every example as a row of its channel."""

import numpy as np
import torch
import torch.nn.functional as F

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, log_uniform, size, values


def draw(rng: np.random.Generator, side: int = 8) -> Case:
    """Maps x (m, c, h, w) with at least two values a channel, dL/dy, gamma and beta (c,), eps > 0."""
    shape = size(rng), size(rng, 1, 4), size(rng, 1, side), size(rng, 1, side)
    return {
        "x": values(rng, *shape),
        "dy": rng.normal(size=shape),
        "gamma": rng.choice([-1, 1], shape[1]) * log_uniform(rng, 0.1, 10),
        "beta": rng.normal(size=shape[1]),
        "eps": log_uniform(rng, 1e-12, 1.0),
    }


def layer(case: Case, momentum: float = 0.1) -> BatchNorm:
    """The textbook's BN with the case's parameters."""
    bn = BatchNorm(len(case["gamma"]), eps=case["eps"], momentum=momentum)
    bn.gamma, bn.beta = case["gamma"], case["beta"]
    return bn


def statistics(case: Case) -> Array:
    """Mean and unbiased variance over batch, height and width, (2, c)."""
    x = case["x"]
    n = x.size // x.shape[1]
    return np.stack([x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)) * n / (n - 1)])


def torch_statistics(case: Case) -> Array:
    """The running statistics that torch keeps of this batch alone (momentum 1)."""
    mean, var = torch.zeros(2, len(case["gamma"]), dtype=torch.float64)
    F.batch_norm(torch.tensor(case["x"]), mean, var, training=True, momentum=1.0)
    return np.stack([mean.numpy(), var.numpy()])


def output_and_gradient(case: Case) -> Array:
    """y and dL/dx of the textbook, (2, m, c, h, w)."""
    bn = layer(case)
    return np.stack([bn.forward(case["x"]), bn.backward(case["dy"])])


def torch_output_and_gradient(case: Case) -> Array:
    """The same of torch."""
    x, dy, gamma, beta = (torch.tensor(case[name]) for name in ("x", "dy", "gamma", "beta"))
    x.requires_grad_()
    y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=case["eps"])
    (dx,) = torch.autograd.grad(y, x, dy)
    return np.stack([y.detach().numpy(), dx.numpy()])


def terms(case: Case) -> Array:
    """The size of the terms of y and of dL/dx, (2, 1, 1, 1, 1)."""
    bn = layer(case)
    bn.forward(case["x"])
    lost = 1 + np.abs(case["x"]).max() / bn.std.min()
    y = np.abs(case["gamma"]).max() * lost + np.abs(case["beta"]).max()
    dx = np.abs(case["gamma"]).max() * np.abs(case["dy"]).max() / bn.std.min() * lost
    return np.reshape([y, dx], (2, 1, 1, 1, 1))


def fully_connected(case: Case) -> Array:
    """y and dL/dx of 1 x 1 maps taken as rows (m, c), as maps again."""
    bn = layer(case)
    y, dx = bn.forward(case["x"][:, :, 0, 0]), bn.backward(case["dy"][:, :, 0, 0])
    return np.stack([y, dx])[..., None, None]


CLAIM = Claim(
    title="Convolutional BatchNorm shares statistics over pixels",
    statement="Batch normalization of maps takes its statistics over batch, height and width, with one gamma and one "
    "beta for each channel; at 1 x 1 it is the fully connected one.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N4",),
    kind="exact",
    parts={
        "statistics": Exact(
            statement="mean and variance over batch, height and width, against torch.nn.functional.batch_norm",
            formula=statistics,
            truth=torch_statistics,
            draw=draw,
            scale=lambda case: np.reshape([np.abs(case["x"]).max(), np.abs(case["x"]).max() ** 2], (2, 1)),
        ),
        "output and input gradient": Exact(
            statement="y and dx with one gamma and beta a channel, against torch",
            formula=output_and_gradient,
            truth=torch_output_and_gradient,
            draw=draw,
            scale=terms,
        ),
        "1 x 1 maps": Exact(
            statement="maps (m, c, 1, 1) and rows (m, c) give the same y and dx",
            formula=output_and_gradient,
            truth=fully_connected,
            draw=lambda rng: draw(rng, side=1),
            scale=terms,
        ),
    },
)
