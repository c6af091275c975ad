"""Every layer of the textbook against torch, against complex steps and against finite differences."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import rlnorm.nn.functional as ours
from rlnorm import textbook
from rlnorm.textbook import (
    SGD,
    BatchNorm,
    Conv2d,
    Layer,
    LayerNorm,
    Linear,
    MeanOnlyBatchNorm,
    Network,
    ReLU,
    Sigmoid,
    SoftmaxCrossEntropy,
    SquaredError,
    Tanh,
    WeightNormLinear,
    input_gradient,
    short_input_gradient,
)
from rlnorm.textbook.arrays import Array
from rlnorm.textbook.short_formula import learning

ROWS, MAPS = (7, 3), (4, 2, 5, 6)


@dataclass(frozen=True)
class Peer:
    """A layer, an input shape, and torch's own function of (x, *parameters); of x and running statistics at test."""

    make: Callable[[np.random.Generator], Layer]
    shape: tuple[int, ...]
    function: Callable[..., Tensor]
    at_test: Callable[..., Tensor] | None = None


def torch_batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)


def our_batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return ours.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)


def torch_batch_norm_at_test(x: Tensor, layer: BatchNorm, gamma: Tensor, beta: Tensor) -> Tensor:
    mean, var = torch.tensor(layer.running_mean), torch.tensor(layer.running_var)
    return F.batch_norm(x, mean, var, gamma, beta, training=False, eps=1e-3)


def torch_linear(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, W.T, b)


def torch_weight_norm(x: Tensor, v: Tensor, g: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, torch.ops.aten._weight_norm(v.T, g[:, None], 0), b)


PEERS = {
    "Linear": Peer(lambda rng: Linear(3, 5, rng), ROWS, torch_linear),
    "Conv2d": Peer(lambda rng: Conv2d(2, 3, 3, rng), MAPS, F.conv2d),
    "Conv2d, padded": Peer(
        lambda rng: Conv2d(2, 3, 3, rng, padding=1), MAPS, lambda x, W, b: F.conv2d(x, W, b, padding=1)
    ),
    "BatchNorm": Peer(lambda rng: BatchNorm(3, eps=1e-3), ROWS, torch_batch_norm, torch_batch_norm_at_test),
    "BatchNorm, maps": Peer(lambda rng: BatchNorm(2, eps=1e-3), MAPS, torch_batch_norm, torch_batch_norm_at_test),
    "BatchNorm, rlnorm.nn": Peer(lambda rng: BatchNorm(3, eps=1e-3), ROWS, our_batch_norm),
    "LayerNorm": Peer(
        lambda rng: LayerNorm(3, eps=1e-3), ROWS, lambda x, gamma, beta: F.layer_norm(x, (3,), gamma, beta, 1e-3)
    ),
    "LayerNorm, rlnorm.nn": Peer(
        lambda rng: LayerNorm(3, eps=1e-3), ROWS, lambda x, gamma, beta: ours.layer_norm(x, (3,), gamma, beta, 1e-3)
    ),
    "WeightNormLinear": Peer(lambda rng: WeightNormLinear(3, 5, rng), ROWS, torch_weight_norm),
    "MeanOnlyBatchNorm": Peer(
        lambda rng: MeanOnlyBatchNorm(3),
        ROWS,
        lambda x, beta: x - x.mean(0) + beta,
        lambda x, layer, beta: x - torch.tensor(layer.running_mean) + beta,
    ),
    "ReLU": Peer(lambda rng: ReLU(), ROWS, F.relu),
    "Sigmoid": Peer(lambda rng: Sigmoid(), ROWS, torch.sigmoid),
    "Tanh": Peer(lambda rng: Tanh(), ROWS, torch.tanh),
}


def prepared(peer: Peer, rng: np.random.Generator) -> tuple[Layer, Array, Array]:
    """The layer with random parameters, an input and the gradient of its output."""
    layer = peer.make(rng)
    for name in layer.parameters:
        setattr(layer, name, rng.normal(size=getattr(layer, name).shape))
    x = 3 * rng.normal(size=peer.shape) + 1
    return layer, x, rng.normal(size=layer.forward(x).shape)


def gradients(layer: Layer, x: Array, dy: Array, training: bool = True) -> dict[str, Array]:
    """y, dx and the gradient of every parameter."""
    y = layer.forward(x, training)
    return {"y": y, "x": layer.backward(dy), **{name: getattr(layer, "d" + name) for name in layer.parameters}}


def assert_close(got: dict[str, Array], expected: dict[str, Array], tolerance: float) -> None:
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


def torch_gradients(peer: Peer, layer: Layer, x: Array, dy: Array, training: bool = True) -> dict[str, Array]:
    names = ("x", *layer.parameters)
    leaves = [torch.tensor(x, requires_grad=True)]
    leaves += [torch.tensor(getattr(layer, name), requires_grad=True) for name in layer.parameters]
    if training:
        y = peer.function(*leaves)
    else:
        assert peer.at_test is not None
        y = peer.at_test(leaves[0], layer, *leaves[1:])
    slopes = torch.autograd.grad(y, leaves, torch.tensor(dy))
    return {"y": y.detach().numpy(), **{name: slope.numpy() for name, slope in zip(names, slopes, strict=True)}}


def stepped(layer: Layer, x: Array, dy: Array, h: complex) -> dict[str, Array]:
    """The same by moving every number by h: a complex step if h is imaginary, else central differences."""

    def loss() -> complex:
        return complex((dy * layer.forward(inputs["x"])).sum())

    inputs = {"x": x}
    slopes: dict[str, Array] = {"y": layer.forward(x)}
    for name in ("x", *layer.parameters):
        number = x if name == "x" else getattr(layer, name)
        slope = np.zeros(number.shape)
        for place in np.ndindex(number.shape):
            values = []
            for step in (h, -h):
                moved = number.astype(type(h))
                moved[place] += step
                inputs["x"] = moved if name == "x" else x
                if name != "x":
                    setattr(layer, name, moved)
                values.append(loss())
            slope[place] = ((values[0] - values[1]) / (2 * h)).real
        if name != "x":
            setattr(layer, name, number)
        inputs["x"] = x
        slopes[name] = slope
    return slopes


@pytest.mark.parametrize("name", PEERS)
def test_agrees_with_torch(name: str):
    layer, x, dy = prepared(PEERS[name], np.random.default_rng(0))
    assert_close(gradients(layer, x, dy), torch_gradients(PEERS[name], layer, x, dy), 1e-10)


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.at_test])
def test_agrees_with_torch_at_test(name: str):
    layer, x, dy = prepared(PEERS[name], np.random.default_rng(1))
    got = gradients(layer, x, dy, training=False)
    assert_close(got, torch_gradients(PEERS[name], layer, x, dy, training=False), 1e-10)


@pytest.mark.parametrize("name", [name for name in PEERS if "rlnorm" not in name])
def test_backward_is_the_slope_of_forward(name: str):
    layer, x, dy = prepared(PEERS[name], np.random.default_rng(2))
    got = gradients(layer, x, dy)
    assert_close(got, stepped(layer, x, dy, 1e-20j), 1e-12)
    assert_close(got, stepped(layer, x, dy, 1e-6), 1e-6)


def test_the_checks_notice_an_error_of_one_in_a_thousand():
    class Wrong(Sigmoid):
        def backward(self, dy: Array) -> Array:
            return 1.001 * super().backward(dy)

    peer = Peer(lambda rng: Wrong(), ROWS, torch.sigmoid)
    layer, x, dy = prepared(peer, np.random.default_rng(0))
    got = gradients(layer, x, dy)
    for expected, tolerance in (
        (torch_gradients(peer, layer, x, dy), 1e-10),
        (stepped(layer, x, dy, 1e-20j), 1e-12),
        (stepped(layer, x, dy, 1e-6), 1e-6),
    ):
        with pytest.raises(AssertionError, match="x"):
            assert_close(got, expected, tolerance)


def test_every_layer_of_the_textbook_is_checked():
    classes = [found for found in vars(textbook).values() if inspect.isclass(found) and hasattr(found, "parameters")]
    assert {found.__name__ for found in classes} - {"Layer"} == {name.split(",")[0] for name in PEERS}


def test_a_wrong_formula_for_dx_is_only_wrong_there():
    rng = np.random.default_rng(0)
    right, x, dy = prepared(Peer(lambda rng: BatchNorm(3), ROWS, torch_batch_norm), rng)
    short = BatchNorm(3, dx=short_input_gradient)
    short.gamma, short.beta = right.__dict__["gamma"], right.__dict__["beta"]
    ours, theirs = gradients(short, x, dy), gradients(right, x, dy)
    assert np.abs(ours.pop("x") - theirs.pop("x")).max() > 0.01
    assert_close(ours, theirs, 0)


@pytest.mark.parametrize("shape", [ROWS, MAPS], ids=str)
def test_running_statistics_follow_torch(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    bn = BatchNorm(shape[1], momentum=0.3)
    mean, var = torch.zeros(shape[1], dtype=torch.float64), torch.ones(shape[1], dtype=torch.float64)
    for _ in range(5):
        x = rng.normal(2, 3, shape)
        bn.forward(x)
        F.batch_norm(torch.tensor(x), mean, var, training=True, momentum=0.3)
    np.testing.assert_allclose(bn.running_mean, mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(bn.running_var, var.numpy(), rtol=1e-12)


def test_batch_norm_keeps_every_quantity_of_the_notes():
    bn, x, dy = prepared(PEERS["BatchNorm"], np.random.default_rng(0))
    bn.forward(x)
    bn.backward(dy)
    names = "mu var std xhat y dxhat dgamma dbeta dvar dmu dx"
    assert all(np.isfinite(getattr(bn, name)).all() for name in names.split())


def test_batch_norm_refuses_to_train_on_one_row():
    with pytest.raises(ValueError, match="at least 2 rows to have a variance, got 1"):
        BatchNorm(3).forward(np.ones((1, 3)))


def test_squared_error_agrees_with_torch():
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    loss, leaf = SquaredError(), torch.tensor(z, requires_grad=True)
    expected = F.mse_loss(leaf, torch.tensor(t))
    (slope,) = torch.autograd.grad(expected, leaf)
    assert loss.forward(z, t) == pytest.approx(expected.item(), abs=1e-12)
    np.testing.assert_allclose(loss.backward(), slope.numpy(), atol=1e-12)


@pytest.mark.parametrize("scale", [1, 1e3])
def test_softmax_cross_entropy_agrees_with_torch(scale: float):
    rng = np.random.default_rng(0)
    z, t = scale * rng.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    loss, leaf = SoftmaxCrossEntropy(), torch.tensor(z, requires_grad=True)
    expected = F.cross_entropy(leaf, torch.tensor(t))
    (slope,) = torch.autograd.grad(expected, leaf)
    assert loss.forward(z, t) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), slope.numpy(), atol=1e-12)


def test_three_steps_of_descent_agree_with_torch():
    rng = np.random.default_rng(0)
    network = Network(Linear(4, 6, rng), BatchNorm(6), Tanh(), Linear(6, 3, rng))
    first, _, _, last = network.layers
    assert isinstance(first, Linear)
    assert isinstance(last, Linear)
    peer = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    ).double()
    arrays = [first.W.T, first.b, np.ones(6), np.zeros(6), last.W.T, last.b]
    with torch.no_grad():
        for parameter, array in zip(peer.parameters(), arrays, strict=True):
            parameter.copy_(torch.tensor(array))
    loss, ours, theirs = SoftmaxCrossEntropy(), SGD(network, 0.5), torch.optim.SGD(peer.parameters(), 0.5)
    for _ in range(3):
        x, t = rng.normal(size=(8, 4)), rng.integers(0, 3, 8)
        loss.forward(network.forward(x), t)
        network.backward(loss.backward())
        ours.step()
        theirs.zero_grad()
        F.cross_entropy(peer(torch.tensor(x)), torch.tensor(t)).backward()
        theirs.step()
    x = rng.normal(size=(8, 4))
    expected = peer.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(network.forward(x, training=False), expected, atol=1e-10)


def test_learns_digits_in_numpy_alone():
    *_, (score, _) = learning(input_gradient, 0.5, 0, epochs=15, batch=32)
    assert score >= 0.95
