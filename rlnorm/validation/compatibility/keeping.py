"""Uses that copy or keep a module: state dicts, copies, files."""

import copy
import pickle
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from rlnorm.validation.compatibility.outcome import Otherwise, Subject, Use
from rlnorm.validation.compatibility.passes import blank, evaluated, plain_evaluation, plain_training, trained


def _load(module: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """`module` with `state`; other names are no refusal, since nobody promised the same."""
    mine = module.state_dict().keys()
    if mine != state.keys():
        only = ", ".join(f"`{name}`" for name in sorted(mine ^ state.keys()))
        raise Otherwise(f"entries have other names: only one side has {only}")
    module.load_state_dict(state)
    return module


def from_torch(subject: Subject) -> list[Tensor]:
    """Load the state dict of torch's twin, or of another module of the same class."""
    return evaluated(_load(blank(subject.make()), subject.swapped.make().state_dict()), subject.inputs)


def to_torch(subject: Subject) -> list[Tensor]:
    """Load the state dict into torch's twin, or into another module of the same class."""
    return evaluated(_load(blank(subject.swapped.make()), subject.make().state_dict()), subject.inputs)


def deep_copied(subject: Subject) -> list[Tensor]:
    """Train a deep copy."""
    return trained(copy.deepcopy(subject.make()), subject.inputs)


def pickled(subject: Subject) -> list[Tensor]:
    """Train what comes back from pickle."""
    return trained(pickle.loads(pickle.dumps(subject.make())), subject.inputs)


def saved(subject: Subject) -> list[Tensor]:
    """Save the state dict and load it with `weights_only`."""
    file = BytesIO()
    torch.save(subject.make().state_dict(), file)
    file.seek(0)
    return evaluated(_load(blank(subject.make()), torch.load(file, weights_only=True)), subject.inputs)


def safetensors(subject: Subject) -> list[Tensor]:
    """Save and load with `safetensors.torch.save_model` and `load_model`."""
    library = import_module("safetensors.torch")
    module = blank(subject.make())
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        library.save_model(subject.make(), str(file))
        library.load_model(module, file)
    return evaluated(module, subject.inputs)


def summed_up(subject: Subject) -> list[Tensor]:
    """The number of parameters that torchinfo counts."""
    summary = import_module("torchinfo").summary(subject.make(), input_data=subject.inputs, verbose=0)
    return [torch.tensor(summary.total_params)]


def parameter_count(subject: Subject) -> list[Tensor]:
    """The number of parameters."""
    return [torch.tensor(sum(p.numel() for p in subject.make().parameters()))]


USES = (
    Use("state dict from torch.nn", "a state dict of torch's module loads; outputs", from_torch, plain_evaluation),
    Use("state dict to torch.nn", "its state dict loads into torch's module; outputs", to_torch, plain_evaluation),
    Use("deepcopy", "a deep copy takes a step of training", deep_copied, plain_training),
    Use("pickle", "what comes back from pickle takes a step of training", pickled, plain_training),
    Use(
        "torch.save",
        "its state dict is saved and loaded with `weights_only=True`; outputs",
        saved,
        plain_evaluation,
    ),
    Use(
        "safetensors",
        "`safetensors.torch.save_model` and `load_model`; outputs",
        safetensors,
        plain_evaluation,
        packages=("safetensors",),
    ),
    Use(
        "torchinfo",
        "`torchinfo.summary` counts its parameters",
        summed_up,
        parameter_count,
        packages=("torchinfo",),
    ),
)
