"""Checks of layers: where norms stand, what stands before them, and what their optimizer does to them."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList

from rlnorm.doctor import behaviour, copies
from rlnorm.doctor.findings import Found
from rlnorm.doctor.subject import Subject, within
from rlnorm.networks import ScaleShift
from rlnorm.nn import Reparametrized


def norm_on_output(subject: Subject) -> Found:
    """Norms behind the last weights of a network."""
    for path in dict.fromkeys(subject.trace.outputs):
        if not within(path, subject.targets):
            shape = tuple(subject.trace.calls[path].x.shape[1:])
            yield path, f"{type(subject.norms[path]).__name__} over {shape}; no weights stand behind it"


def bias_before_norm(subject: Subject) -> Found:
    """Layers with a bias right before a norm that takes off the mean of each unit that has one."""
    for path, name in subject.trace.biased.items():
        if within(path, subject.targets):
            continue
        layer = subject.root.get_submodule(name)
        layer = layer.layer if isinstance(layer, Reparametrized) else layer
        norm, call = subject.trace.norms[path], subject.trace.calls[path]
        # A bias has one value for each unit: on the last axis behind a Linear, before the pixels behind a convolution.
        axis = -1 if isinstance(layer, nn.Linear) else -1 - len(layer.kernel_size)  # pyright: ignore[reportArgumentType]
        if behaviour.forgets_shifts(norm, call, axis):
            bias = layer.bias
            assert isinstance(bias, Tensor)
            yield name, f"{bias.numel()} biases up to {bias.abs().max().item():.2g} that {path} takes off again"


def decayed_gain(subject: Subject) -> Found:
    """Optimizers that decay gamma, beta or gains."""
    owners = {id(p): (path, p) for path, p in _gains(subject)}
    for path, optimizer in copies.optimizers(subject.root):
        for group in optimizer.param_groups:
            decayed = [owners[id(p)] for p in group["params"] if id(p) in owners]
            if group.get("weight_decay") and decayed:
                paths = ", ".join(dict.fromkeys(owner for owner, _ in decayed))
                values = sum(p.numel() for _, p in decayed)
                yield (
                    path,
                    f"{type(optimizer).__name__}, weight_decay={group['weight_decay']} on {values} values of {paths}",
                )


def _gains(subject: Subject) -> Iterator[tuple[str, nn.Parameter]]:
    """Gamma, beta and gains with the paths of their modules. They may have any shape."""
    for path, module in subject.root.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, ParametrizationList) and isinstance(module[0], _WeightNorm):
            yield path, own["original0"]
        elif "weight_g" in own:
            yield path, own["weight_g"]
        elif path in subject.norms or isinstance(module, ScaleShift):
            # A module that only looks like a norm may hold weights too.
            known = copies.of_a_library(module) or isinstance(module, nn.LayerNorm | nn.RMSNorm)
            yield from ((path, p) for p in own.values() if known or p.ndim < 2)
