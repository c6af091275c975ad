"""One examination: a model becomes a subject, and every check of the table is made on it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from rlnorm.doctor.agents import of_agent
from rlnorm.doctor.checks import CHECKS, Check
from rlnorm.doctor.findings import LEVELS, Finding, Report, Unmade, said
from rlnorm.doctor.subject import Subject, of_module, of_pair
from rlnorm.errors import ConfigError

Examined = nn.Module | BaseAlgorithm | tuple[nn.Module, nn.Module]
NO_NORM = "no norm is known"


def check(model: Examined, env: gym.Env | VecEnv | None = None, inputs: object = None) -> Report:
    """Examine a network for what goes wrong with normalization in reinforcement learning.

    model   a module, examined as the network that acts, so hand it over in the mode in which it acts; a pair
            (online, target) of modules, the online one in either mode; or a stable-baselines3 model. Compiled modules,
            DataParallel, DistributedDataParallel and AveragedModel are looked through
    env     an environment to act in for observations to hold the running statistics against; without one those come
            from `inputs`, or from the observations that the agent has stored. It is reset and stepped. For modules a
            `gymnasium.Env`
    inputs  in place of `env`, a batch of observations that the network meets, rows first. For modules their arguments:
            a tensor or an array; a tuple of positional arguments; a dict of keyword arguments, or, where its keys are
            none of the parameters of `forward`, a dict that is the only argument. Arrays become tensors of the
            network's dtype. For models observations as the environment gives them, by key for a Dict space

    The model is left as it was: modes, statistics, random number generators. The report names every check that could
    not be made, and why. Raises ConfigError for anything else than the above, for a pair that does not hold the same
    state, for a ScriptModule, and for modules that cannot be copied.
    """
    if env is not None and inputs is not None:
        raise ConfigError("both env and inputs were given; expected one of them.")
    with _as_it_was():
        return _report(_subject(model, env, inputs))


def _subject(model: Examined, env: gym.Env | VecEnv | None, inputs: object) -> Subject:
    if isinstance(model, BaseAlgorithm):
        return of_agent(model, env, inputs)
    if isinstance(env, VecEnv):
        raise ConfigError("a module acts in a gymnasium.Env, but got a vectorized environment of stable-baselines3.")
    if isinstance(model, nn.Module):
        return of_module(model, env, inputs)
    if isinstance(model, tuple) and len(model) == 2 and all(isinstance(network, nn.Module) for network in model):
        return of_pair(*model, env, inputs)
    raise ConfigError(
        f"the doctor examines a torch module, an (online, target) pair of them or a stable-baselines3 model, "
        f"got {type(model).__name__}."
    )


def _report(subject: Subject) -> Report:
    found: list[Finding] = []
    unchecked: dict[str, str] = {}
    failed = bool(subject.trace.error)
    for name, row in CHECKS.items():
        missing = _missing(row, subject)
        if missing:
            unchecked[name] = missing
            continue
        seen: list[Finding] = []
        try:
            with torch.no_grad():
                for where, evidence in row.find(subject):
                    where = where or "the network"
                    seen.append(Finding(name, row.level, where, evidence, row.consequence, row.remedy))
        except Unmade as reason:
            # A finding says enough where only a part of the check is left.
            unchecked |= {} if seen else {name: str(reason)}
        except Exception as error:
            unchecked[name] = said(error)
            failed = True
        found += seen
    found.sort(key=lambda finding: LEVELS.index(finding.level))
    unreached = () if subject.trace.error else subject.unreached
    return Report(subject.what, len(subject.norms), len(CHECKS), tuple(found), unchecked, unreached, not failed)


def _missing(row: Check, subject: Subject) -> str:
    """Why a check cannot be made; empty where it can."""
    if "norm" in row.needs and not subject.norms:
        return NO_NORM
    if "pass" in row.needs and subject.trace.error:
        return subject.trace.error
    if "pass" in row.needs and "norm" in row.needs and not subject.trace.norms:
        return "the pass reaches no norm"
    return subject.no_data if "data" in row.needs else ""


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Fork the random streams of torch and NumPy, run compiled modules uncompiled, and hide warnings of the passes."""
    state = np.random.get_state()  # noqa: NPY002
    eager = torch.compiler.set_stance("force_eager")
    with torch.random.fork_rng(), warnings.catch_warnings(), eager:
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
