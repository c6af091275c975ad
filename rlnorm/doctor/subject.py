"""The subject of an examination: networks as handed over, copies in the modes in which they act and learn, one pass.

Nothing here changes the networks: passes run in copies, and random numbers come from forks of torch's stream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from rlnorm.doctor import trace
from rlnorm.doctor.calls import Call
from rlnorm.doctor.copies import duplicate, refuse, unwrapped, view
from rlnorm.doctor.findings import Unmade, said
from rlnorm.doctor.inputs import given, guesses, met, required
from rlnorm.doctor.trace import Trace
from rlnorm.errors import ConfigError

Pair = tuple[str, str]
Run = Callable[[nn.Module, int, Sequence[str]], list[Tensor]]
PAIR = (("online", "target"),)


@dataclass(frozen=True)
class Subject:
    """The networks to examine, and how to run them.

    what       in words
    root       everything, as handed over; read and never run
    acting     a copy in the mode in which it acts
    updating   a copy in the mode in which it is updated
    actors     paths of the networks that act
    acts       whether `acting` is known to act in that mode
    pairs      paths of each online network and its target
    trace      one pass through `acting`
    rows       number of observations in that pass
    run        a copy of the root, a number of rows, paths of networks in it -> their outputs for the first rows
    no_data    why that pass saw no observations of an environment (replay, rollouts, inputs); empty where it did
    algorithm  the SB3 algorithm, where there is one
    """

    what: str
    root: nn.Module
    acting: nn.Module
    updating: nn.Module
    actors: tuple[str, ...]
    acts: bool
    pairs: tuple[Pair, ...]
    trace: Trace
    rows: int
    run: Run
    no_data: str
    algorithm: BaseAlgorithm | None = None

    @cached_property
    def norms(self) -> dict[str, nn.Module]:
        """Every norm as handed over, by its path: those that a class tells, and those that behave like one."""
        paths = [*dict(trace.norms(self.root)), *self.trace.norms]
        return {path: self.root.get_submodule(path) for path in dict.fromkeys(paths)}

    @property
    def unreached(self) -> tuple[str, ...]:
        """Paths of norms that the pass did not reach."""
        return tuple(path for path in self.norms if path not in self.trace.calls)

    @property
    def targets(self) -> tuple[str, ...]:
        """Paths of the target networks."""
        return tuple(target for _, target in self.pairs)


def within(path: str, networks: Sequence[str]) -> bool:
    """Whether `path` is in one of these networks; the path "" holds everything."""
    return any(not network or path == network or path.startswith(f"{network}.") for network in networks)


def join(*names: str) -> str:
    """A path from its parts; empty ones are left out."""
    return ".".join(filter(None, names))


def of_module(module: nn.Module, env: gym.Env | None, inputs: object = None) -> Subject:
    """A network by itself: examined in the mode it is handed over in, as the one that acts."""
    module = unwrapped(module)
    refuse(module)
    acts = env is not None or not module.training
    return _of_networks(type(module).__name__, module, ("",), acts, (), env, inputs)


def of_pair(online: nn.Module, target: nn.Module, env: gym.Env | None, inputs: object = None) -> Subject:
    """An online network, which may be in training, and its target.

    Raises ConfigError where the two do not hold the same state.
    """
    root = nn.ModuleDict({"online": unwrapped(online), "target": unwrapped(target)})
    refuse(root)
    one, other = (view(root).get_submodule(name).state_dict().keys() for name in root)
    if one != other:
        apart = sorted(one ^ other)
        raise ConfigError(
            f"online and target network hold different state: {', '.join(apart[:3])} in one of them only."
        )
    what = f"{type(root['online']).__name__} and its target"
    return _of_networks(what, root, ("online", "target"), not root["online"].training, PAIR, env, inputs)


def _of_networks(
    what: str,
    module: nn.Module,
    parts: tuple[str, ...],
    acts: bool,
    pairs: tuple[Pair, ...],
    env: gym.Env | None,
    inputs: object,
) -> Subject:
    root = view(module)
    acting = duplicate(root)
    first = root.get_submodule(parts[0])
    calls, no_data = _calls(first, env, inputs)
    seen, call = Trace(error="the shape of its inputs is unknown"), Call(())
    for call in calls:
        now = trace.watch(duplicate(acting), partial(_through, parts, call))
        # The first failure is that of the likeliest call.
        seen = now if not now.error or call is calls[0] else seen
        if not now.error:
            break
    if seen.error and inputs is None:
        seen = Trace(error=f"{seen.error}; give inputs={required(first)}")
    return Subject(
        what=what,
        root=root,
        acting=acting,
        updating=acting,
        actors=parts[:1],
        acts=acts,
        pairs=pairs,
        trace=seen,
        rows=0 if seen.error else call.rows,
        run=partial(_run, call),
        no_data=no_data,
    )


def _calls(network: nn.Module, env: gym.Env | None, inputs: object) -> tuple[Sequence[Call], str]:
    """Calls that the network may take, and why they hold no observations of an environment; empty where they do."""
    if inputs is not None:
        return [given(network, inputs)], ""
    if env is None:
        return guesses(network), "no observations: no env and no inputs were given"
    try:
        return met(duplicate(network), env), ""
    except ConfigError:
        raise
    except Exception as error:
        return guesses(network), f"env fails: {said(error)}"


def _through(parts: Sequence[str], call: Call, root: nn.Module) -> list[Tensor]:
    return [y for part in parts for y in call.on(root.get_submodule(part))]


def _run(call: Call, root: nn.Module, keep: int, parts: Sequence[str]) -> list[Tensor]:
    for path, module in root.named_modules():
        if getattr(module, "batch_first", True) is False:
            name = type(module).__name__
            raise Unmade(f"{path or 'the network'} is a {name} with batch_first=False, so the batch may be any axis")
    return _through(parts, call.first(keep), root)
