"""Uses that ask for other numbers or other derivatives: autocast, channels_last, per sample, forward mode."""

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap

from rlnorm.validation.compatibility.outcome import NothingToDo, Otherwise, Subject, Tensors, Use
from rlnorm.validation.compatibility.passes import loss_of, outputs, plain_training, trained


def _rounded(subject: Subject) -> list[Tensor]:
    return [x.bfloat16() for x in subject.inputs]


def _under_autocast(subject: Subject) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        return trained(subject.make(), _rounded(subject))


def autocast(subject: Subject) -> list[Tensor]:
    """Train it on bfloat16 inputs under autocast."""
    got = _under_autocast(subject)
    if subject.twin is not None and (theirs := _under_autocast(subject.swapped)[0].dtype) != got[0].dtype:
        raise Otherwise(f"the output is `{got[0].dtype}`, torch.nn's is `{theirs}`")
    return got


def plain_autocast(subject: Subject) -> list[Tensor]:
    """Torch's twin under autocast; in float32 where there is none."""
    if subject.twin is not None:
        return _under_autocast(subject)
    return trained(subject.make(), [x.float() for x in _rounded(subject)])


def channels_last(subject: Subject) -> list[Tensor]:
    """Train it on inputs in channels_last format, which outputs have to keep."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    form = formats.get(subject.inputs[0].ndim)
    if form is None:
        raise NothingToDo
    module: Any = subject.make()
    got = trained(module.to(memory_format=form), [x.contiguous(memory_format=form) for x in subject.inputs])
    if not got[0].is_contiguous(memory_format=form):
        raise Otherwise("the output is not in channels_last format")
    return got


def _in_pairs(inputs: Tensors) -> tuple[Tensor, ...]:
    """(2n, ...) -> (n, 2, ...): samples of two rows, since norms of the batch need more than one."""
    return tuple(x.unflatten(0, (-1, 2)) for x in inputs)


def _per_sample(subject: Subject, training: bool) -> list[Tensor]:
    module = subject.make().train(training)
    buffers = dict(module.named_buffers())

    def loss(parameters: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
        result = functional_call(module, (parameters, buffers), inputs)
        return loss_of([result] if isinstance(result, Tensor) else result)

    per_sample = vmap(grad(loss, (0, 1)), in_dims=(None, 0), randomness="different")
    of_parameters, of_inputs = per_sample(dict(module.named_parameters()), _in_pairs(subject.inputs))
    return [*of_parameters.values(), *of_inputs]


def _one_by_one(subject: Subject, training: bool) -> list[Tensor]:
    rows: list[tuple[Tensor, ...]] = []
    for sample in zip(*_in_pairs(subject.inputs)):
        module = subject.make().train(training)
        leaves = [x.clone().requires_grad_() for x in sample]
        rows.append(torch.autograd.grad(loss_of(outputs(module, leaves)), [*module.parameters(), *leaves]))
    return [torch.stack(grads) for grads in zip(*rows)]


def per_sample_training(subject: Subject) -> list[Tensor]:
    """`vmap(grad(loss))` in train mode."""
    return _per_sample(subject, training=True)


def per_sample_evaluation(subject: Subject) -> list[Tensor]:
    """`vmap(grad(loss))` in eval mode."""
    return _per_sample(subject, training=False)


def one_by_one_training(subject: Subject) -> list[Tensor]:
    """A backward pass for each sample, in train mode."""
    return _one_by_one(subject, training=True)


def one_by_one_evaluation(subject: Subject) -> list[Tensor]:
    """A backward pass for each sample, in eval mode."""
    return _one_by_one(subject, training=False)


def _directions(inputs: Tensors) -> tuple[Tensor, ...]:
    return tuple(x.flip(0).sin() for x in inputs)


def forward_mode(subject: Subject) -> list[Tensor]:
    """`torch.func.jvp` in train mode: the derivative along a direction in the inputs."""
    module = subject.make().train()
    return list(jvp(lambda *x: tuple(outputs(module, x)), subject.inputs, _directions(subject.inputs))[1])


def reverse_mode_twice(subject: Subject) -> list[Tensor]:
    """The same derivative from two backward passes: J v is the derivative of J'u, which is linear in u, along v."""
    leaves = [x.clone().requires_grad_() for x in subject.inputs]
    values = outputs(subject.make().train(), leaves)
    us = [torch.zeros_like(y, requires_grad=True) for y in values]
    pulled = torch.autograd.grad(values, leaves, us, create_graph=True)
    return list(torch.autograd.grad(pulled, us, _directions(subject.inputs)))


IN_MODE_BATCH = '`rlnorm.nn.set_mode(model, "batch")`: statistics of the rows at hand, running ones untouched'

USES = (
    Use(
        "autocast",
        "bfloat16 inputs under `torch.autocast`; a step of training and the output's dtype",
        autocast,
        plain_autocast,
        tolerance=3e-2,
    ),
    Use(
        "channels_last",
        "module and inputs in `channels_last`; a step of training and the output's format",
        channels_last,
        plain_training,
    ),
    Use(
        "per sample, train",
        "`vmap(grad(loss))` in train mode over samples of two rows; gradients of parameters and inputs",
        per_sample_training,
        one_by_one_training,
        instead=IN_MODE_BATCH,
    ),
    Use(
        "per sample, eval",
        "`vmap(grad(loss))` in eval mode over samples of two rows; gradients of parameters and inputs",
        per_sample_evaluation,
        one_by_one_evaluation,
    ),
    Use(
        "jvp",
        "`torch.func.jvp` in train mode; the derivative of the outputs",
        forward_mode,
        reverse_mode_twice,
        instead=IN_MODE_BATCH,
        tolerance=1e-4,
    ),
)
