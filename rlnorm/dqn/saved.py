"""Trained agents as files: one per agent, with its weights and the arguments that make its network.

`rlnorm.dqn.train(..., save=FOLDER)` writes FOLDER/agent<i>.pt for agent i; `load` makes a plain module of it.
"""

import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlnorm.dqn.agents import Agents, with_observations
from rlnorm.errors import ConfigError
from rlnorm.files import replacing
from rlnorm.networks import network
from rlnorm.nn import ObservationNorm, set_mode


def save(agents: Agents, folder: Path, rates: Sequence[float], shape: Sequence[int], layout: Mapping[str, Any]) -> None:
    """Write every agent; `layout` holds the arguments of `rlnorm.networks.network` but for the observations' shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (seed, rate) in enumerate(zip(agents.online.seeds, rates, strict=True)):
        kept = {
            "shape": tuple(shape),
            "layout": dict(layout),
            "normalize_observations": agents.observation_norm is not None,
            "mode": agents.acting_mode,
            "seed": int(seed),
            "rate": float(rate),
            "weights": OrderedDict(agents.member(i).state_dict()),
        }
        with replacing(folder / f"agent{i}.pt") as partial:
            torch.save(kept, partial)


def load(path: str | Path) -> nn.Sequential:
    """A saved agent as a plain module, observations (B, *shape) -> Q (B, actions): the result of `Agents.member`.

    The file of a norm of one's own must still lie where it was; it is run. Raises FileNotFoundError, and ConfigError
    for a file that is not a saved agent.
    """
    try:
        # torch does not look at the archive's sums, and loads weights of which a bit is another.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the sum of {damaged} is another")
        kept = torch.load(path, weights_only=True)
        shape, layout, weights = kept["shape"], kept["layout"], kept["weights"]
    except FileNotFoundError:
        raise
    except Exception as error:  # readers of archives and of pickles raise nearly anything
        raise ConfigError(
            f"{str(path)!r} is not an agent that rlnorm.dqn.train saved, or is damaged or incomplete ({error})."
        ) from error
    with torch.random.fork_rng(devices=()):  # torch draws weights, which are replaced below
        agent = network(shape, **layout)
    if kept["normalize_observations"]:
        agent = with_observations(ObservationNorm(shape), agent)
    agent.load_state_dict(weights)
    return set_mode(agent.eval(), kept["mode"])
