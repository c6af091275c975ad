"""Checks of pairs: what of an online network reaches its target, and what must not."""

import torch
from torch import Tensor, nn

from rlnorm.doctor import behaviour, trace
from rlnorm.doctor.agents import captured, updates_targets_itself
from rlnorm.doctor.findings import Found, Threshold
from rlnorm.doctor.statistics import as_constructed
from rlnorm.doctor.subject import Subject, join

MOVED = Threshold(0.1, "standard deviations of outputs", "one batch of 32 moves running statistics by about 0.02")
"""Between online and target statistics where the parameters are the same."""


def target_behind(subject: Subject) -> Found:
    """Targets whose parameters have been updated and whose statistics have not."""
    for online, target in subject.pairs:
        one, other = subject.root.get_submodule(online), subject.root.get_submodule(target)
        same = all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
        for path, norm in trace.norms(one):
            twin = other.get_submodule(path)
            args = subject.trace.inputs.get(join(target, path))
            for name, buffer in norm.named_buffers(recurse=False):
                theirs = twin.get_buffer(name)
                where = join(target, f"{path}.{name}")
                if theirs.shape != buffer.shape or torch.equal(buffer, theirs):
                    continue
                if as_constructed(name, theirs) and not same and _parameters_moved(twin):
                    moved = _gap(buffer, theirs)
                    yield where, f"still as constructed, the online one {moved}; gamma and beta have been updated"
                elif same and args is not None:
                    apart = behaviour.dependence(twin, args, name, buffer)
                    if apart > MOVED.value:
                        said = "all parameters are the online network's, to the bit"
                        yield where, f"{said}, but this differs: outputs differ by {apart:.2g} standard deviations"


def missed_state(subject: Subject) -> Found:
    """State that learning changes and the target's outputs need, and that no target update copies."""
    model = subject.algorithm
    if model is None or not subject.pairs or updates_targets_itself(model):
        return
    copied = captured(model)
    for online, target in subject.pairs:
        one, other = subject.root.get_submodule(online), subject.root.get_submodule(target)
        for path, module in one.named_modules():
            args = subject.trace.inputs.get(join(online, path))
            if args is None or not module._buffers:
                continue
            twin, lost = other.get_submodule(path), list[str]()
            changed = behaviour.changed(subject.updating.get_submodule(join(online, path)), args)
            for name in changed:
                mine, theirs = module.get_buffer(name), twin.get_buffer(name)
                reached = theirs.data_ptr() in (mine.data_ptr(), copied.get(mine.data_ptr()))
                needed = mine.is_floating_point() and behaviour.dependence(twin, args, name) > behaviour.ROUNDING
                if needed and not reached:
                    lost.append(name)
            if lost:
                named = all("running_" in name for name in lost)
                why = "bound anew since SB3 took hold of what it copies" if named else 'no "running_" in its name'
                moves = ", ".join(f"{name} by {changed[name]:.2g}" for name in lost)
                yield join(online, path), f"an update changes {moves}; not copied: {why}"


def integer_state(subject: Subject) -> Found:
    """Buffers that SB3 will average into the target and that are no floats."""
    if subject.algorithm is None:
        return
    for online, _ in subject.pairs:
        for name, buffer in subject.root.get_submodule(online).state_dict().items():
            if "running_" in name and not buffer.is_floating_point():
                yield (
                    join(online, name),
                    f"dtype {str(buffer.dtype).removeprefix('torch.')}, value {buffer.flatten()[0].item()}",
                )


def shared_norm(subject: Subject) -> Found:
    """Norms whose parameters or statistics are the same storage in online network and target."""
    for online, target in subject.pairs:
        theirs = {t.untyped_storage().data_ptr() for t in _state(subject.root.get_submodule(target)) if t.numel()}
        for path, norm in trace.norms(subject.root.get_submodule(online)):
            state = [t for t in _state(norm) if t.numel()]
            shared = sum(t.untyped_storage().data_ptr() in theirs for t in state)
            if shared:
                yield join(online, path), f"{shared} of {len(state)} tensors are also in {target}"


def _parameters_moved(norm: nn.Module) -> bool:
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    return any(isinstance(p, Tensor) and not bool((p == start).all()) for p, start in ((weight, 1.0), (bias, 0.0)))


def _gap(one: Tensor, other: Tensor) -> str:
    return f"is up to {(one - other).abs().max().item():.2g} away"


def _state(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
