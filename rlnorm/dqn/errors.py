"""What of DQN's settings cannot be used, found before anything runs and said all at once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlnorm.dqn.losses import LOSSES
from rlnorm.dqn.recipes import recipe_errors
from rlnorm.errors import ConfigError, too_few, unknown, unwritable
from rlnorm.networks import network_errors
from rlnorm.nn import get_norm
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import member_errors
from rlnorm.tasks.environments import environment_errors, spaces


def errors(
    *,
    env: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    recipe: str,
    modes: Mapping[str, Any] | None,
    loss: str,
    double: bool,
    optimizer: str,
    discount: float,
    reward_scale: float,
    batch: int,
    buffer: int,
    starts: int,
    collect: int | None,
    train_every: int,
    updates: int,
    target_every: int | None,
    tau: float,
    epsilon: tuple[float, float, float],
    envs: int,
    norm: str,
    norm_kwargs: Mapping[str, Any] | None,
    place: str,
    sites: Sequence[str],
    hidden: Sequence[int],
    channels: Sequence[int],
    kernel: int,
    activation: str,
    init: str,
    init_scale: float,
    clip: float | None,
    probes: int | None,
    save: str | Path | None = None,
    **_: object,
) -> Iterator[str]:
    """One sentence for each setting of `train` that cannot be used."""
    wrong = list(environment_errors(env))
    yield from wrong
    shape, actions = ((1,), 1) if wrong else spaces(env)
    yield from network_errors(
        hidden=hidden,
        norm=norm,
        place=place,
        activation=activation,
        init=init,
        init_scale=init_scale,
        batch=2,  # which passes take batch statistics of a single row is the recipe's matter
        shape=shape,
        outputs=actions,
        channels=channels,
        kernel=kernel,
        norm_kwargs=norm_kwargs,
        sites=sites,
    )
    yield from recipe_errors(
        recipe=recipe,
        modes=modes,
        double=double,
        target_every=target_every,
        couples_batch=_couples_batch(norm),
        envs=envs,
        batch=batch,
    )
    yield from member_errors(seeds=seeds, rates=rates)
    for kind, got, valid in (
        ("loss", loss, LOSSES),
        ("optimizer", optimizer, OPTIMIZERS),
    ):
        if got not in valid:
            yield unknown(kind, got, valid)
    counts = {
        "steps": steps,
        "batch": batch,
        "buffer": buffer,
        "train_every": train_every,
        "updates": updates,
        "envs": envs,
    }
    yield from too_few(counts if target_every is None else {**counts, "target_every": target_every})
    if starts < 0:
        yield f"starts must not be negative, got {starts}."
    if probes is not None and probes < 0:
        yield f"probes must not be negative, got {probes}."
    if clip is not None and not clip > 0:
        yield f"clip must be a positive norm, or None for no clipping, got {clip}."
    if not 0 < tau <= 1:
        yield f"tau is the share of the online parameters that the target takes, in (0, 1], got {tau}."
    if not 0 < reward_scale < float("inf"):
        yield f"reward_scale must be positive and finite, got {reward_scale}."
    if not 0 <= discount < 1:
        yield f"discount must lie in [0, 1), got {discount}."
    if len(epsilon) != 3 or not (0 <= epsilon[0] <= 1 and 0 <= epsilon[1] <= 1 and 0 < epsilon[2] <= 1):
        yield f"epsilon is (start, end, fraction) with 0 <= start, end <= 1 and 0 < fraction <= 1, got {epsilon}."
    if batch > buffer:
        yield f"a batch of {batch} cannot be drawn from a buffer of {buffer} transitions."
    if envs > buffer:
        yield f"{envs} environments per agent need a buffer of at least as many transitions, got {buffer}."
    if collect is not None and collect < envs:
        yield f"collect must let the replay take in at least one step of {envs} environments, got {collect}."
    if envs > steps:
        yield f"{envs} environments per agent make {envs} steps at once, beyond the budget of {steps}."
    if save is not None:
        yield from unwritable("agents", "save", Path(save))
    if starts >= steps:
        yield f"learning would start after {starts} steps, beyond the budget of {steps}."
    elif 1 <= envs <= steps and train_every >= 1 and steps // envs * envs // train_every <= starts // train_every:
        yield (
            f"no update would ever be made: one comes at every multiple of {train_every} steps beyond the first "
            f"{starts}, and the last step is {steps // envs * envs}."
        )


def _couples_batch(norm: str) -> bool:
    """Whether a norm takes statistics over the batch; no for one that is none, which has its own sentence."""
    try:
        return get_norm(norm).couples_batch
    except ConfigError:
        return False
