"""Uses that train a model in other ways: over processes, and averaged."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import swa_utils
from torch.utils._pytree import tree_map

from rlnorm.validation.compatibility.outcome import Subject, Use
from rlnorm.validation.compatibility.passes import evaluated, loss_of, outputs


class Scaled(nn.Module):
    """A model around a module with a parameter in every case: tools for training take no model without."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, *x: Tensor) -> object:
        """The body's outputs, times the scale."""
        return tree_map(lambda y: y * self.scale.mean(), self.body(*x))


def _half(subject: Subject, rank: int) -> list[Tensor]:
    return [x.chunk(2)[rank] for x in subject.inputs]


def _step(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and the gradients that a backward pass leaves."""
    values = outputs(model.train(), inputs)
    loss_of(values).backward()
    grads = [p.grad for p in model.parameters()]
    return values, [g.full_tensor() if isinstance(g, DTensor) else g for g in grads if g is not None]


def _both_halves(subject: Subject) -> list[Tensor]:
    models = [Scaled(subject.make()) for _ in range(2)]
    steps = [_step(model, _half(subject, rank)) for rank, model in enumerate(models)]
    grads = [(a + b) / 2 for a, b in zip(*(grads for _, grads in steps))]
    mine = dist.get_rank()
    return [*steps[mine][0], *grads, *models[mine].buffers()]


def data_parallel(subject: Subject) -> list[Tensor]:
    """One step under DDP, half of the rows in each process."""
    model = DistributedDataParallel(Scaled(subject.make()))
    values, grads = _step(model, _half(subject, dist.get_rank()))
    return [*values, *grads, *model.buffers()]


def sharded(subject: Subject) -> list[Tensor]:
    """One step with parameters sharded over two processes, half of the rows in each."""
    model = Scaled(subject.make())
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    values, grads = _step(model, _half(subject, dist.get_rank()))
    return [*values, *grads, *model.buffers()]


@torch.no_grad()
def _multiplied(module: nn.Module, factor: float) -> nn.Module:
    for parameter in module.parameters():
        parameter.mul_(factor)
    return module


def averaged(subject: Subject) -> list[Tensor]:
    """Outputs of an AveragedModel of the parameters and of twice the parameters."""
    module = Scaled(subject.make())
    average = swa_utils.AveragedModel(module)
    average.update_parameters(module)
    average.update_parameters(_multiplied(module, 2))
    return evaluated(average, subject.inputs)


def plain_average(subject: Subject) -> list[Tensor]:
    """Outputs of the module with the mean of both."""
    return evaluated(_multiplied(Scaled(subject.make()), 1.5), subject.inputs)


USES = (
    Use(
        "DDP",
        "`DistributedDataParallel` on gloo, two processes with half of the rows each; outputs, gradients, buffers",
        data_parallel,
        _both_halves,
        processes=2,
    ),
    Use(
        "FSDP2",
        "`fully_shard` on gloo, two processes with half of the rows each; outputs, gradients, buffers",
        sharded,
        _both_halves,
        processes=2,
    ),
    Use("AveragedModel", "`swa_utils.AveragedModel` of two states; outputs", averaged, plain_average),
)
