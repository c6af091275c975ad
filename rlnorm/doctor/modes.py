"""Checks of modes: norms that take the batch's statistics or change their own where they may not."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rlnorm.doctor import behaviour, trace
from rlnorm.doctor.agents import single_row
from rlnorm.doctor.copies import duplicate, state
from rlnorm.doctor.findings import Found, Unmade, said
from rlnorm.doctor.subject import Subject, join, within
from rlnorm.nn.state import mode_of
from rlnorm.probes.nested import tensors

Outputs = dict[str, list[Tensor]]


def acting_on_batch(subject: Subject) -> Found:
    """Norms that, while the network acts, couple the batch or change their state."""
    if subject.acts:
        yield from _live(subject, subject.acting, subject.actors, subject.trace.norms)


def left_in_training(subject: Subject) -> Found:
    """The same in a network that is in train mode as a whole."""
    if not subject.acts and not subject.pairs:
        yield from _live(subject, subject.acting, subject.actors, subject.trace.norms)


def target_on_batch(subject: Subject) -> Found:
    """The same in target networks while the online one learns."""
    if subject.pairs:
        norms = {path: subject.updating.get_submodule(path) for path in subject.trace.norms}
        yield from _live(subject, subject.updating, subject.targets, norms)


def batch_of_one(subject: Subject) -> Found:
    """Minibatches of one for norms with batch statistics."""
    how = "" if subject.algorithm is None else single_row(subject.algorithm)
    for path in subject.trace.norms if how else ():
        norm = subject.updating.get_submodule(path)
        if trace.on_weights(path, norm) or within(path, subject.targets):
            continue
        with torch.enable_grad():
            comes_to = behaviour.one_row(norm, subject.trace.calls[path])
        if comes_to:
            yield path, f"{how}; there {type(norm).__name__} {comes_to}"


def _live(subject: Subject, network: nn.Module, parts: tuple[str, ...], norms: dict[str, nn.Module]) -> Found:
    """Norms in some parts of `network` that couple the batch or change; without any, what else does."""
    found = False
    for path, norm in norms.items():
        if not within(path, parts) or (within(path, subject.targets) and "" in parts):
            continue
        call = subject.trace.calls[path]
        coupling = 0.0 if trace.on_weights(path, norm) else behaviour.coupling(norm, call)
        changed = behaviour.changed(norm, call)
        seen = []
        if coupling > behaviour.ROUNDING:
            seen.append(f"a row's output depends on its batch, here by {coupling:.2g} standard deviations")
        if changed:
            name = max(changed, key=lambda name: (state(norm)[name].is_floating_point(), changed[name]))
            seen.append(f"one pass changes {name} by up to {changed[name]:.2g}")
        if seen:
            found = True
            yield path, f"{type(norm).__name__} in mode {mode_of(norm)}: {'; '.join(seen)}"
    if not found:
        yield from _as_a_whole(subject, network, parts)


def _as_a_whole(subject: Subject, network: nn.Module, parts: Sequence[str]) -> Found:
    """Outputs of a network that depend on the other rows, or on earlier passes, whatever its modules are.

    Raises Unmade where that cannot be told.
    """
    rows, network = subject.rows, duplicate(network)
    for norm in (network.get_submodule(path) for path in subject.norms):
        for name, statistic in behaviour.statistics(norm).items():
            # A norm that has seen nothing does nothing in eval mode, whether it is called or not.
            if behaviour.as_constructed(norm, name, statistic):
                statistic += 1
    whole, first = _watched(subject, duplicate(network), rows, parts)
    if behaviour.difference(whole, _watched(subject, duplicate(network), rows, parts, seed=1)[0]) > behaviour.ROUNDING:
        raise Unmade("outputs are drawn at random, so that those of different batches cannot be compared")
    if rows < 2:
        raise Unmade("one row does not show whether rows depend on each other")
    for keep in (rows // 2, 1):
        try:
            part, other = _watched(subject, duplicate(network), keep, parts)
        except Unmade:
            raise
        except Exception as error:
            if keep > 1:
                raise Unmade(f"a pass with half of the rows fails: {said(error)}") from error
            yield "", f"a batch of one raises {said(error)}"
            return
        apart = behaviour.moved(whole, part, rows, keep)
        if apart > behaviour.ROUNDING:
            batch = "alone" if keep == 1 else "in half of its batch"
            yield (
                _where(first, other, rows, keep),
                f"{batch}, a row gets another output, here by {apart:.2g} standard deviations",
            )
            return
    yield from _from_pass_to_pass(subject, network, parts, whole)


def _from_pass_to_pass(subject: Subject, network: nn.Module, parts: Sequence[str], whole: list[Tensor]) -> Found:
    """State that one pass changes and that moves the outputs of the next from `whole`."""
    twice, half = duplicate(network), duplicate(network)
    before = _state(twice)
    _watched(subject, twice, subject.rows, parts)
    after = _state(twice)
    apart = behaviour.difference(whole, _watched(subject, twice, subject.rows, parts)[0])
    if apart <= behaviour.ROUNDING:
        return
    _watched(subject, half, subject.rows // 2, parts)
    # The memory of a recurrent network has a row for each of its inputs.
    shapes = {name: x.shape for name, x in _state(half).items()}
    moved = [name for name, old in before.items() if name in after and not torch.equal(old, after[name])]
    statistics = [name for name in moved if before[name].shape == after[name].shape == shapes.get(name)]
    if not statistics:
        raise Unmade("outputs depend on earlier passes through state that is no statistic")
    names = ", ".join(statistics[:3])
    yield "", f"one pass changes {names}, which moves the outputs of the next by {apart:.2g} standard deviations"


def _watched(
    subject: Subject, network: nn.Module, rows: int, parts: Sequence[str], seed: int = 0
) -> tuple[list[Tensor], Outputs]:
    """Outputs of the parts of `network`, and those of each module in the order in which they were done.

    Where the parts return integers alone, as actions are, the last numbers before these stand for them.
    """
    outputs: Outputs = {}

    def hook(path: str) -> Callable[..., None]:
        def saw(module: nn.Module, args: object, out: object) -> None:
            outputs.setdefault(path, [x.clone() for x in tensors(out)])

        return saw

    handles = [module.register_forward_hook(hook(path)) for path, module in network.named_modules()]
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            done = [subject.run(network, rows, parts), *reversed(outputs.values())]
            return next((out for out in done if any(x.is_floating_point() for x in out)), []), outputs
    finally:
        for handle in handles:
            handle.remove()


def _where(whole: Outputs, part: Outputs, rows: int, keep: int) -> str:
    """The module that was done first among those whose rows differ."""
    for path, outputs in whole.items():
        try:
            if path in part and behaviour.moved(outputs, part[path], rows, keep) > behaviour.ROUNDING:
                return path
        except (Unmade, ValueError):
            # Its outputs have no rows, or other ones in the smaller batch.
            continue
    return ""


def _state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all that a pass could change, by name."""
    modules = network.named_modules()
    return {join(path, name): x.clone() for path, module in modules for name, x in state(module).items()}
