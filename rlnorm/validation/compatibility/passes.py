"""Passes through a module whose values uses are compared by: evaluation, and a step of training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from rlnorm.validation.compatibility.outcome import Subject, Tensors


def outputs(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Every tensor that the module returns."""
    return tree_leaves(module(*inputs))


def loss_of(values: Tensors) -> Tensor:
    """One number on which every element of every output acts with a weight of its own."""
    return torch.stack([(y * torch.arange(1, y.numel() + 1).cos().reshape(y.shape)).sum() for y in values]).sum()


def evaluated(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Outputs in eval mode."""
    return outputs(module.eval(), inputs)


def trained(module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Outputs in train mode, the loss's gradients for parameters and inputs, and the buffers afterwards."""
    leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in inputs]
    values = outputs(module.train(), leaves)
    grads = torch.autograd.grad(loss_of(values), [*module.parameters(), *leaves])
    return [*values, *grads, *module.buffers()]


def plain_evaluation(subject: Subject) -> list[Tensor]:
    """Outputs in eval mode of the module as it is."""
    return evaluated(subject.make(), subject.inputs)


def plain_training(subject: Subject) -> list[Tensor]:
    """A step of training of the module as it is."""
    return trained(subject.make(), subject.inputs)


def fewer(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """All rows but the last: a batch of another size, with other values in each row."""
    return tuple(x[1:] for x in inputs)


def plain_evaluation_of_fewer(subject: Subject) -> list[Tensor]:
    """Outputs in eval mode of the module as it is, for `fewer` rows."""
    return evaluated(subject.make(), fewer(subject.inputs))


@torch.no_grad()
def blank(module: nn.Module) -> nn.Module:
    """The module with all its state set to 0, so that nothing of what it is to be given is there already."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.zero_()
    return module
