"""A population as the engines train it: a meta template per mode, stacked state, one compiled update."""

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from rlnorm.nn import NORMS, Norm, set_mode

MEMBERS, ROWS, WIDTH = 3, 8, 5


def body(norm: Norm, seed: int, **kwargs: object) -> nn.Sequential:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        layers = [norm.wrap(nn.Linear(4, WIDTH)), norm.make(WIDTH, 0, **kwargs), nn.ReLU(), nn.Linear(WIDTH, 2)]
    return nn.Sequential(*layers)


def population(norm: Norm, **kwargs: object):
    nets = [body(norm, seed, **kwargs) for seed in range(MEMBERS)]
    parameters, buffers = stack_module_state(nets)
    online = set_mode(body(norm, 0, **kwargs).to("meta"), "train")
    target = set_mode(body(norm, 0, **kwargs).to("meta"), "eval")
    return nets, {k: p.detach() for k, p in parameters.items()}, buffers, online, target


def update(parameters, buffers, online, target, s_tm1: Tensor, s_t: Tensor) -> tuple[Tensor, list[Tensor]]:
    def q(net: nn.Module, p: dict[str, Tensor], x: Tensor) -> Tensor:
        return vmap(lambda p, b, x: functional_call(net, (p, b), (x,)))(p, buffers, x)

    leaves = {k: p.detach().requires_grad_() for k, p in parameters.items()}
    with torch.no_grad():
        goal = q(target, parameters, s_t)
    loss = (q(online, leaves, s_tm1) - goal).square().mean((1, 2))
    return loss.detach(), list(torch.autograd.grad(loss.sum(), list(leaves.values())))


OPTIONS = [("none", {}), ("batch", {}), ("batch", {"momentum": None, "guard": True}), ("layer", {})]


@pytest.mark.parametrize(
    ("backend", "name", "kwargs"),
    [("eager", *option) for option in OPTIONS] + [("inductor", *option) for option in OPTIONS if option[0] != "none"],
    ids=str,
)
def test_population_equals_its_members(backend, name, kwargs, rng):
    nets, parameters, buffers, online, target = population(NORMS[name], **kwargs)
    step = update
    if backend == "inductor":
        torch._dynamo.reset()
        step = torch.compile(update, fullgraph=True, dynamic=False)
    for _ in range(2):
        s_tm1, s_t = torch.randn(2, MEMBERS, ROWS, 4, generator=rng)
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            loss, grads = step(parameters, buffers, online, target, s_tm1, s_t)
        for i, net in enumerate(nets):
            with torch.no_grad():
                goal = set_mode(net, "eval")(s_t[i])
            expected = (set_mode(net, "train")(s_tm1[i]) - goal).square().mean()
            torch.testing.assert_close(loss[i], expected.detach())
            for grad, truth in zip(grads, torch.autograd.grad(expected, list(net.parameters())), strict=True):
                torch.testing.assert_close(grad[i], truth)
            for key, buffer in net.named_buffers():
                torch.testing.assert_close(buffers[key][i], buffer)
