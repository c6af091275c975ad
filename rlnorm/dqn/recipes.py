"""Recipes: which statistics each forward pass of DQN normalizes with, and which passes update the running ones.

A recipe names a mode of `rlnorm.nn.modes` for each pass of an agent's networks. Norms that keep no statistics (layer,
rms, ...) are the same in every mode.

| pass        | network | input | when                                                                                |
|-------------|---------|-------|-------------------------------------------------------------------------------------|
| `acting`    | online  | s     | collecting; evaluation takes the same statistics and updates none                   |
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
    """The mode of each forward pass, and what else libraries differ in.

    joint         s and s' pass through the online network as one batch, in the mode `online`; so they do through the
                  target network, of whose outputs the half for s' is taken
    statistics    what the target's running statistics do when its parameters are copied: they are taken over
                  ("copied"), stay, so that only its own passes change them ("own"), or start anew ("forgotten")
    batch_of_one  take batch statistics even of a single row: xhat = 0, variance 0. torch refuses, and so do we unless
                  it is asked for
    sb3_loop      collect as stable-baselines3 does: actions are random until learning starts, one coin is tossed for
                  all environments of an agent, the target's period is rounded down to whole steps of all environments,
                  and the target is copied before the updates that are due at the same step
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
    # As in supervised learning: batch statistics where gradients flow, running ones everywhere else, and the target
    # takes all state: parameters, statistics, counters, spectral vectors.
    "supervised": Recipe(),
    # stable-baselines3's DQN: the same modes in its own loop. It copies parameters and `running_*` buffers.
    "sb3": Recipe(sb3_loop=True),
    # CrossQ (Bhatt et al. 2024, arXiv:1902.05605), made for no target network. Where there is one it normalizes with
    # the joint batch too. One factor from it, {"joint": False}: s' in a batch of its own.
    "joint": Recipe(successor="train", target="batch", joint=True),
    # The common bug: nobody calls eval(), and only `parameters()` are copied, as in CleanRL's dqn.py once a norm is put
    # into its network. Batch statistics everywhere; every pass feeds the running ones, which nothing reads.
    "naive": Recipe(acting="train", online="train", successor="train", target="train", statistics="own"),
    # Each network keeps the statistics of what it is shown itself, the online one of s and the target of s': what
    # copying `parameters()` alone comes to where eval() is called but the target's statistics still follow its passes.
    "own-statistics": Recipe(target="track", statistics="own"),
}

# The values each field may take.
CHOICES: Mapping[str, tuple[object, ...]] = {
    name: (False, True) if kind is bool else get_args(kind) for name, kind in get_type_hints(Recipe).items()
}


def resolve(recipe: str, modes: Mapping[str, Any] | None) -> Recipe:
    """The named recipe with the fields in `modes` changed. Names and values are checked by `recipe_errors`."""
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
    """One sentence for each reason why such a recipe cannot be used, or would not do what it says.

    couples_batch   whether the norm takes statistics over the batch
    """
    changed = modes or {}
    sound = recipe in RECIPES
    if not sound:
        yield unknown("recipe", recipe, RECIPES)
    for name, value in changed.items():
        if name not in CHOICES:
            yield unknown("field of a recipe", name, CHOICES)
        elif value not in CHOICES[name]:
            yield unknown(f"value of modes[{name!r}]", value, map(str, CHOICES[name]))
        else:
            continue
        sound = False
    if not sound:
        return
    use = resolve(recipe, modes)
    if use.joint and use.online in ("eval", "track"):
        yield f"a joint batch is for batch statistics: with it online must be 'train' or 'batch', got {use.online!r}."
    if "successor" in changed:
        if use.joint:
            yield "in a joint batch s' has the mode of online; leave successor out, or set joint to False."
        elif not double and target_every is not None:
            yield "the mode of successor decides nothing here: it needs double, or no target network."
    if target_every is None:
        if double:
            yield "double Q-learning needs a target network: set target_every, or leave double out."
        yield from (
            f"the recipe's {name} decides nothing without a target network (target_every is None)."
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
        what = {"acting": "one environment per agent"}
        for name in _passes(use, double, target_every):
            mode = getattr(use, name)
            if mode != "eval" and rows[name] == 1:
                yield (
                    f"{name} in mode {mode!r} takes batch statistics, of a single observation with "
                    f"{what.get(name, 'a batch of 1')}; expected at least 2, mode 'eval', or modes "
                    "{'batch_of_one': True} to normalize it by itself."
                )


def _passes(recipe: Recipe, double: bool, target_every: int | None) -> tuple[str, ...]:
    """The passes that are made."""
    target = ("target",) if target_every is not None else ()
    successor = ("successor",) if (double or not target) and not recipe.joint else ()
    return ("acting", "online", *successor, *target)
