"""Uses that turn a module into a graph: compilers, tracers, exporters."""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.jit import _recursive

from rlnorm.validation.compatibility.outcome import Otherwise, Subject, Use, sentence
from rlnorm.validation.compatibility.passes import (
    fewer,
    outputs,
    plain_evaluation,
    plain_evaluation_of_fewer,
    plain_training,
    trained,
)

ONNX = ("onnx", "onnxscript", "onnxruntime")


def compiled(subject: Subject) -> list[Tensor]:
    """Train it, compiled whole by Inductor."""
    import torch._dynamo
    import torch._inductor.config

    torch._dynamo.reset()
    with torch._inductor.config.patch(compile_threads=1):
        module: Any = torch.compile(subject.make(), fullgraph=True)
        return trained(module, subject.inputs)


def exported(subject: Subject) -> list[Tensor]:
    """`torch.export` for the shapes of the example."""
    program = torch.export.export(subject.make().eval(), subject.inputs)
    return outputs(program.module(), subject.inputs)


def exported_for_any_batch(subject: Subject) -> list[Tensor]:
    """`torch.export` with a batch axis of any size, called with another size."""
    any_size = tuple({0: torch.export.Dim.DYNAMIC} for _ in subject.inputs)
    program = torch.export.export(subject.make().eval(), subject.inputs, dynamic_shapes=any_size)
    return outputs(program.module(), fewer(subject.inputs))


def jit_traced(subject: Subject) -> list[Tensor]:
    """`torch.jit.trace`, called with another batch."""
    traced: Any = torch.jit.trace(subject.make().eval(), subject.inputs)
    return outputs(traced, fewer(subject.inputs))


def jit_scripted(subject: Subject) -> list[Tensor]:
    """`torch.jit.script`, which keeps what it compiled of a class, half of it where that failed: starts afresh."""
    _recursive.concrete_type_store = _recursive.ConcreteTypeStore()
    return outputs(torch.jit.script(subject.make().eval()), subject.inputs)


class Around(nn.Module):
    """A model around a module."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body


class One(Around):
    """A model of one input."""

    def forward(self, x: Tensor) -> object:
        """x -> what the body returns."""
        return self.body(x)


class Two(Around):
    """A model of two inputs."""

    def forward(self, x: Tensor, h: Tensor) -> object:
        """x, h -> what the body returns."""
        return self.body(x, h)


class Leaves(fx.Tracer):
    """A tracer for which the modules of rlnorm are leaves, as those of torch.nn are for any tracer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether the graph calls `m` and does not look into it."""
        return type(m).__module__.startswith("rlnorm.nn") or super().is_leaf_module(m, module_qualified_name)


def fx_traced(subject: Subject) -> list[Tensor]:
    """`torch.fx.symbolic_trace` of a model around it; with `Leaves` where that does not go."""
    model = (One if len(subject.inputs) == 1 else Two)(subject.make().eval())
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:
        outputs(fx.GraphModule(model, Leaves().trace(model)), subject.inputs)
        raise Otherwise(
            f"the tracer looks into it, as it does not into torch.nn's, and stops: {sentence(error)}"
        ) from error
    return outputs(graph, subject.inputs)


def proxy_traced(subject: Subject) -> list[Tensor]:
    """`make_fx`, with gradients on."""
    module = subject.make().eval()
    graph = make_fx(lambda *x: tuple(outputs(module, x)))(*subject.inputs)
    return list(graph(*subject.inputs))


def _onnx(subject: Subject, dynamo: bool) -> list[Tensor]:
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.onnx")
        torch.onnx.export(subject.make().eval(), subject.inputs, file, dynamo=dynamo, verbose=False)
        session = import_module("onnxruntime").InferenceSession(file, providers=["CPUExecutionProvider"])
    feed = {entry.name: x.numpy() for entry, x in zip(session.get_inputs(), subject.inputs, strict=True)}
    return [torch.from_numpy(y) for y in session.run(None, feed)]


def onnx(subject: Subject) -> list[Tensor]:
    """`torch.onnx.export(dynamo=True)`, run by onnxruntime."""
    return _onnx(subject, dynamo=True)


def onnx_by_trace(subject: Subject) -> list[Tensor]:
    """`torch.onnx.export(dynamo=False)`, run by onnxruntime."""
    return _onnx(subject, dynamo=False)


USES = (
    Use("compile", "`torch.compile(fullgraph=True)` by Inductor; a step of training", compiled, plain_training),
    Use("export", "`torch.export.export` in eval mode; outputs", exported, plain_evaluation),
    Use(
        "export, any batch",
        "`torch.export.export` in eval mode with `Dim.DYNAMIC` rows; outputs for another number of rows",
        exported_for_any_batch,
        plain_evaluation_of_fewer,
    ),
    Use(
        "jit.trace",
        "`torch.jit.trace` in eval mode, with its own check; outputs for another number of rows",
        jit_traced,
        plain_evaluation_of_fewer,
        instead="use `torch.export`",
    ),
    Use("jit.script", "`torch.jit.script` in eval mode; outputs", jit_scripted, plain_evaluation, "use `torch.export`"),
    Use(
        "fx",
        "`torch.fx.symbolic_trace` of a model around it, in eval mode; outputs",
        fx_traced,
        plain_evaluation,
        instead="trace with an `fx.Tracer` whose `is_leaf_module` is true for classes of `rlnorm.nn`",
    ),
    Use(
        "make_fx",
        "`make_fx` in eval mode, with gradients on; outputs",
        proxy_traced,
        plain_evaluation,
        instead="use `torch.export`",
    ),
    Use(
        "ONNX",
        "`torch.onnx.export(dynamo=True)` in eval mode; outputs of onnxruntime",
        onnx,
        plain_evaluation,
        packages=ONNX,
    ),
    Use(
        "ONNX by trace",
        "`torch.onnx.export(dynamo=False)` in eval mode; outputs of onnxruntime",
        onnx_by_trace,
        plain_evaluation,
        instead="export with `dynamo=True`",
        packages=ONNX,
    ),
)
