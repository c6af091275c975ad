"""Checks of layers: where norms stand, what stands before them, and what their optimizer does to them."""

from torch import Tensor

from rlnorm.doctor import behaviour, trace
from rlnorm.doctor.findings import Found
from rlnorm.doctor.subject import Subject, within
from rlnorm.networks import ScaleShift


def norm_on_output(subject: Subject) -> Found:
    """Norms behind the last weights of a network."""
    for path in dict.fromkeys(subject.trace.outputs):
        if not within(path, subject.targets):
            shape = tuple(subject.trace.inputs[path][0].shape[1:])
            yield (
                path,
                f"{type(subject.acting.get_submodule(path)).__name__} over {shape}; no weights stand behind it",
            )


def bias_before_norm(subject: Subject) -> Found:
    """Layers with a bias right before a norm that takes off each channel's mean."""
    for path, layer in subject.trace.biased.items():
        norm, args = subject.acting.get_submodule(path), subject.trace.inputs[path]
        if not within(path, subject.targets) and behaviour.forgets_shifts(norm, args):
            bias = subject.root.get_submodule(layer)
            bias = getattr(bias, "layer", bias).bias
            assert isinstance(bias, Tensor)
            yield layer, f"{bias.numel()} biases up to {bias.abs().max().item():.2g} that {path} takes off again"


def decayed_gain(subject: Subject) -> Found:
    """Optimizers that decay gamma, beta or gains."""
    scales = [(path, module) for path, module in subject.root.named_modules() if isinstance(module, ScaleShift)] + list(
        subject.norms()
    )
    owners = {id(p): (path, name, p) for path, m in scales for name, p in m.named_parameters(recurse=False)}
    for path, optimizer in trace.optimizers(subject.root):
        for group in optimizer.param_groups:
            decayed = [owners[id(p)] for p in group["params"] if id(p) in owners and p.ndim < 2]
            if group.get("weight_decay") and decayed:
                paths = ", ".join(dict.fromkeys(owner for owner, _, _ in decayed))
                values = sum(p.numel() for _, _, p in decayed)
                yield (
                    path,
                    f"{type(optimizer).__name__}, weight_decay={group['weight_decay']} on {values} values of {paths}",
                )
