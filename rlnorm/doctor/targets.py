"""Checks of pairs: state of an online network that must reach its target, and state that must not."""

import torch
from torch import Tensor, nn

from rlnorm.doctor import behaviour
from rlnorm.doctor.agents import captured, updates_targets_itself
from rlnorm.doctor.copies import state
from rlnorm.doctor.findings import Found, Threshold, Unmade
from rlnorm.doctor.subject import Subject, join, within

MOVED = Threshold(0.1, "standard deviations of outputs", "one batch of 32 moves running statistics by about 0.02")
"""Between online and target statistics where the parameters are the same."""


def target_behind(subject: Subject) -> Found:
    """Targets whose parameters have been updated and whose statistics have not."""
    for online, target in subject.pairs:
        one, other = subject.root.get_submodule(online), subject.root.get_submodule(target)
        same = all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
        for path, module in one.named_modules():
            twin = other.get_submodule(path)
            call, kept = subject.trace.calls.get(join(target, path)), state(twin)
            for name, mine in state(module).items():
                theirs = kept.get(name, mine)
                where = join(target, path, name)
                if theirs.shape != mine.shape or torch.equal(mine, theirs):
                    continue
                if behaviour.as_constructed(twin, name, theirs) and not same and _parameters_moved(twin):
                    apart = (mine - theirs).abs().max().item()
                    said = f"still as constructed, the online one is up to {apart:.2g} away"
                    yield where, f"{said}; gamma and beta have been updated"
                elif same and call is not None:
                    apart = behaviour.dependence(twin, call, name, mine)
                    if apart > MOVED.value:
                        alike = "all parameters are the online network's, to the bit"
                        yield where, f"{alike}, but this differs: outputs differ by {apart:.2g} standard deviations"


def missed_state(subject: Subject) -> Found:
    """State that learning changes and the target's outputs need, and that no target update copies.

    Raises Unmade for an algorithm that updates its targets by code of its own.
    """
    model = subject.algorithm
    if model is None or not subject.pairs:
        return
    if updates_targets_itself(model):
        raise Unmade(f"{type(model).__name__} updates its targets by code of its own")
    copied = captured(model)
    for online, target in subject.pairs:
        one, other = subject.root.get_submodule(online), subject.root.get_submodule(target)
        for path, module in one.named_modules():
            call, mine = subject.trace.calls.get(join(online, path)), state(module)
            if call is None or not mine:
                continue
            twin, lost = other.get_submodule(path), list[str]()
            theirs = state(twin)
            with torch.enable_grad():
                changed = behaviour.changed(subject.updating.get_submodule(join(online, path)), call)
            # Every update copies the parameters.
            for name in [name for name in changed if name in theirs and name not in module._parameters]:
                reached = theirs[name].data_ptr() in (mine[name].data_ptr(), copied.get(mine[name].data_ptr()))
                needed = mine[name].is_floating_point() and behaviour.dependence(twin, call, name) > behaviour.ROUNDING
                if needed and not reached:
                    lost.append(name)
            if lost:
                why = "bound anew since SB3 took hold of what it copies"
                if any("running_" not in name for name in lost):
                    why = 'no "running_" in its name'
                elif any(name not in module._buffers for name in lost):
                    why = "no buffer"
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
        for path, norm in subject.norms.items():
            tensors = [t for t in _state(norm) if t.numel()]
            shared = sum(t.untyped_storage().data_ptr() in theirs for t in tensors)
            if within(path, (online,)) and shared:
                yield path, f"{shared} of {len(tensors)} tensors are also in {target}"


def _parameters_moved(norm: nn.Module) -> bool:
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    return any(isinstance(p, Tensor) and not bool((p == start).all()) for p, start in ((weight, 1.0), (bias, 0.0)))


def _state(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
