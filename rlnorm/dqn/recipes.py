"""Recipes: which statistics each forward pass of DQN normalizes with, and which passes update the running ones.

A recipe names a mode of `rlnorm.nn.modes` for each pass of an agent's networks. Norms without running statistics
(layer, rms, ...) do the same in every mode. Where no pass is in mode "train" or "track", nothing updates the running
statistics that a norm is made with, mean 0 and variance 1: in mode "eval" it is "no normalization", an affine map.

| pass        | network | input | when                                                                                |
|-------------|---------|-------|-------------------------------------------------------------------------------------|
| `acting`    | online  | s     | collecting; evaluation uses the same statistics and updates none                    |
| `online`    | online  | s     | update, with gradient                                                               |
| `successor` | online  | s'    | update, without gradient: double Q-learning's choice; the bootstrap without a target|
| `target`    | target  | s'    | update, without gradient                                                            |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

from rlnorm.errors import unknown
from rlnorm.nn import Mode

Statistics = Literal["copied", "own", "forgotten"]


@dataclass(frozen=True)
class Recipe:
    """The mode of each forward pass, and other choices in which libraries differ.

    joint         s and s' pass through the online network as one batch, in the mode `online`, and likewise through the
                  target network; the half for s' of its outputs is used
    statistics    the target's running statistics in a target copy: they are taken from the online network ("copied"),
                  stay, so that only the target's passes change them ("own"), or start again ("forgotten")
    batch_of_one  allow batch statistics of a single row: xhat = 0, variance 0. Without it we refuse them as torch does
    sb3_loop      the loop of stable-baselines3: actions are random until learning starts, one random number decides
                  between greedy and random for all environments of an agent, the target's period is rounded down to
                  whole steps of all environments, and copies come before the updates of the same step
    """

    acting: Mode = "eval"
    online: Mode = "train"
    successor: Mode = "eval"
    target: Mode = "eval"
    joint: bool = False
    statistics: Statistics = "copied"
    batch_of_one: bool = False
    sb3_loop: bool = False


RECIPES: dict[str, Recipe] = {
    # As in supervised learning: batch statistics where gradients flow, running ones everywhere else. The target copies
    # all state: parameters, statistics, counters, spectral vectors.
    "supervised": Recipe(),
    # stable-baselines3's DQN: the same modes in its own loop. It copies parameters and `running_*` buffers.
    "sb3": Recipe(sb3_loop=True),
    # CrossQ (Bhatt et al. 2024, arXiv:1902.05605), which has no target network. A target network normalizes with the
    # joint batch too. modes={"joint": False} changes one factor: s' forms a separate batch.
    "joint": Recipe(successor="train", target="batch", joint=True),
    # The common bug: eval() is never called, and only `parameters()` are copied, as in CleanRL's dqn.py with a norm in
    # its network. Batch statistics everywhere; every pass updates the running ones, which no pass uses.
    "naive": Recipe(acting="train", online="train", successor="train", target="train", statistics="own"),
    # Each network keeps the statistics of its inputs, the online one of s and the target of s'. It is the result of
    # copying `parameters()` alone if eval() is called but the target's passes still update its statistics.
    "own-statistics": Recipe(target="track", statistics="own"),
}

# field -> the values it can have
CHOICES: Mapping[str, tuple[object, ...]] = {
    name: (False, True) if kind is bool else get_args(kind) for name, kind in get_type_hints(Recipe).items()
}


def resolve(recipe: str, modes: Mapping[str, Any] | None) -> Recipe:
    """The named recipe with the fields in `modes` changed; `recipe_errors` checks names and values."""
    return replace(RECIPES[recipe], **(modes or {}))


def recipe_errors(
    *,
    recipe: str,
    modes: Mapping[str, Any] | None,
    double: bool,
    target_every: int | None,
    couples_batch: bool,
    envs: int,
    batch: int,
) -> Iterator[str]:
    """One sentence for each reason why a recipe cannot be used, or has a field without effect.

    couples_batch   whether the norm takes statistics over the batch
    """
    changed = modes or {}
    known = recipe in RECIPES
    if not known:
        yield unknown("recipe", recipe, RECIPES)
    for name, value in changed.items():
        if name not in CHOICES:
            yield unknown("field of a recipe", name, CHOICES)
        elif value not in CHOICES[name]:
            yield unknown(f"value of modes[{name!r}]", value, map(str, CHOICES[name]))
        else:
            continue
        known = False
    if not known:
        return
    use = resolve(recipe, modes)
    if use.joint and use.online in ("eval", "track"):
        yield f"a joint batch needs batch statistics: online must be 'train' or 'batch', got {use.online!r}."
    if "successor" in changed:
        if use.joint:
            yield (
                "successor has no effect: in a joint batch s' has the mode of online; "
                "leave it out, or set joint to False."
            )
        elif not double and target_every is not None:
            yield "successor has no effect: its pass is made only with double, or without a target network."
    if target_every is None:
        if double:
            yield "double Q-learning needs a target network: set target_every, or leave double out."
        yield from (
            f"the recipe's {name} has no effect without a target network (target_every is None)."
            for name in ("target", "statistics")
            if name in changed
        )
    if couples_batch and not use.batch_of_one:
        rows = {
            "acting": envs,
            "online": batch * (1 + use.joint),
            "successor": batch,
            "target": batch * (1 + use.joint),
        }
        because = {"acting": "one environment per agent"}
        for name in _passes(use, double, target_every):
            mode = getattr(use, name)
            if mode != "eval" and rows[name] == 1:
                yield (
                    f"{name} in mode {mode!r} takes batch statistics, of a single observation with "
                    f"{because.get(name, 'a batch of 1')}; expected at least 2, mode 'eval', or modes "
                    "{'batch_of_one': True} to allow it."
                )


def _passes(recipe: Recipe, double: bool, target_every: int | None) -> tuple[str, ...]:
    """The passes that an agent makes."""
    target = ("target",) if target_every is not None else ()
    successor = ("successor",) if (double or not target) and not recipe.joint else ()
    return ("acting", "online", *successor, *target)
