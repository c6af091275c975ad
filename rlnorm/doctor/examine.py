"""One examination: what is given becomes a subject, and every check of the table is made on it."""

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
from rlnorm.doctor.findings import LEVELS, Finding, Report
from rlnorm.doctor.subject import Subject, of_module, of_pair
from rlnorm.errors import ConfigError

Examined = nn.Module | BaseAlgorithm | tuple[nn.Module, nn.Module]


def check(model: Examined, env: gym.Env | VecEnv | None = None) -> Report:
    """Examine a network for what goes wrong with normalization in reinforcement learning.

    model  a module, examined as the network that acts, so hand it over in the mode in which it acts; a pair
           (online, target) of modules, the online one in either mode; or a stable-baselines3 model
    env    an environment to act in for observations to hold the running statistics against; without one those come
           from what the agent has stored. It is reset and stepped. For modules a `gymnasium.Env`

    The model is left as it was: modes, statistics, random number generators. Raises ConfigError for anything else than
    the above, and for a pair that does not hold the same state.
    """
    with _as_it_was():
        subject = _subject(model, env)
        return _report(subject)


def _subject(model: Examined, env: gym.Env | VecEnv | None) -> Subject:
    if isinstance(model, BaseAlgorithm):
        return of_agent(model, env)
    if isinstance(env, VecEnv):
        raise ConfigError("a module acts in a gymnasium.Env, but got a vectorized environment of stable-baselines3.")
    if isinstance(model, nn.Module):
        return of_module(model, env)
    if isinstance(model, tuple) and len(model) == 2 and all(isinstance(network, nn.Module) for network in model):
        return of_pair(*model, env)
    raise ConfigError(
        f"the doctor examines a torch module, an (online, target) pair of them or a stable-baselines3 model, "
        f"got {type(model).__name__}."
    )


def _report(subject: Subject) -> Report:
    found: list[Finding] = []
    unchecked: dict[str, str] = {}
    for name, row in CHECKS.items():
        missing = _missing(row, subject)
        if missing:
            unchecked[name] = missing
            continue
        try:
            found += [
                Finding(name, row.level, where or "the network", evidence, row.consequence, row.remedy)
                for where, evidence in row.find(subject)
            ]
        except Exception as error:
            unchecked[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    found.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(subject.what, len(list(subject.norms())), len(CHECKS), tuple(found), unchecked)


def _missing(row: Check, subject: Subject) -> str:
    """Why a check cannot be made; empty where it can."""
    if row.needs and not any(True for _ in subject.norms()):
        return ""
    if row.needs and subject.trace.error:
        return subject.trace.error
    if row.needs == "data" and not subject.data:
        return "no observations: nothing is stored and no env was given"
    return ""


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Fork the random streams of torch and NumPy; warnings of passes made for examination alone are not shown."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
