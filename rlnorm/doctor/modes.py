"""Checks of modes: which norms take the batch's statistics or change their own, and when they may not."""

from torch import nn

from rlnorm.doctor import behaviour, trace
from rlnorm.doctor.agents import single_row
from rlnorm.doctor.findings import Found
from rlnorm.doctor.subject import Subject, within
from rlnorm.nn import Moded


def acting_on_batch(subject: Subject) -> Found:
    """Norms that, while the network acts, couple the batch or change their state."""
    if subject.acts:
        yield from _live(subject, subject.acting, subject.actors)


def left_in_training(subject: Subject) -> Found:
    """The same in a network that is in train mode as a whole."""
    if not subject.acts and not subject.pairs:
        yield from _live(subject, subject.acting, subject.actors)


def target_on_batch(subject: Subject) -> Found:
    """The same in target networks while the online one learns."""
    yield from _live(subject, subject.updating, subject.targets)


def batch_of_one(subject: Subject) -> Found:
    """Minibatches of one for norms with batch statistics."""
    how = "" if subject.algorithm is None else single_row(subject.algorithm)
    if how:
        for path, norm in trace.norms(subject.updating):
            args = subject.trace.inputs.get(path)
            if args is None or trace.on_weights(path, norm) or within(path, subject.targets):
                continue
            said = behaviour.one_row(norm, args)
            if said:
                yield path, f"{how}; there {type(norm).__name__} {said}"


def _live(subject: Subject, network: nn.Module, parts: tuple[str, ...]) -> Found:
    for path, norm in trace.norms(network):
        args = subject.trace.inputs.get(path)
        if args is None or not within(path, parts):
            continue
        coupling = 0.0 if trace.on_weights(path, norm) else behaviour.coupling(norm, args)
        changed = behaviour.changed(norm, args)
        said = []
        if coupling > behaviour.ROUNDING:
            said.append(f"a row's output depends on its batch, here by {coupling:.2g} standard deviations")
        if changed:
            name = max(changed, key=lambda name: (norm.get_buffer(name).is_floating_point(), changed[name]))
            said.append(f"one pass changes {name} by up to {changed[name]:.2g}")
        if said:
            mode = norm.mode if isinstance(norm, Moded) else "train" if norm.training else "eval"
            yield path, f"{type(norm).__name__} in mode {mode}: {'; '.join(said)}"
