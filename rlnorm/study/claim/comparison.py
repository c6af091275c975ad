"""A question of one's own without a claim's file: norms compared on one environment, as a claim like any other."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rlnorm.errors import raise_if_any, too_few
from rlnorm.study.claim.declare import Claim, Effect, Experiment, Preset, dqn_experiment
from rlnorm.study.claim.dqn_setting import BUDGETS, COMPARISON_STEPS, DQN_STUDY, FIRST_FRESH
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.claim.question import Question
from rlnorm.study.claim.validate import setting_errors
from rlnorm.tasks.environments import SCALES, EnvironmentFailed, make, spaces

GIVEN: Mapping[str, str] = {
    "env": "--env",
    "norm": "--norms",
    "seeds": "--seeds",
    "steps": "--steps",
    "lr": "--lr",
    "rates": "--lr",
    "environments": "--environments",
}
"""Settings that a comparison has words of its own for."""
REHEARSED = 200
"""Steps of random actions in an unknown environment before agents are trained in it."""
LEAST = 3_000
"""Steps at which things only run, in an environment that has no budgets."""


def compare(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> ClaimFile:
    """The comparison of every norm with the first one, as a claim without a file.

    A norm is a short name, or the path of a user's norm; `options` are settings of the engine for all arms. Where the
    environment has constants (`SCALES`) the score is the normalized area under the training-return curve and the margin
    0.05 of it; elsewhere it is the area in plain returns and the margin is 0. Raises ConfigError with every error at
    once.
    """
    norms = absolute(norms)
    raise_if_any(errors(env, norms, seeds, steps, lr, options=options))
    first, *others = [_short(norm) for norm in norms]
    arms = {_short(norm): {"norm": norm} for norm in norms}
    known, settings = env in SCALES, options or {}
    among = f" with {', '.join(f'{name} {value}' for name, value in settings.items())}" if settings else ""
    claim = Claim(
        title=f"Norms compared on {env}",
        statement=f"On {env}{among}, DQN with {_listed(others)} scores better than with norm {first!r}.",
        source="a question of one's own",
        kind="effect",
        parts={
            f"{other} against {first}": Effect(
                experiment=_experiment(env, steps, lr, None, settings),
                arms={name: arms[name] for name in (first, other)},
                metric="return_auc" if known else "plain_return_auc",
                question=Question(asks="superior", treatment=other, reference=first, margin=0.05 if known else 0.0),
                judged_from=FIRST_FRESH,
            )
            for other in others
        },
    )
    # Comparisons under other options stand side by side in one folder.
    own = [re.sub(r"\W+", "-", f"{name} {value}").strip("-") for name, value in settings.items()]
    return ClaimFile("-".join(("train", env, *arms, *own)).lower().replace("/", "-"), claim, None)


def size(env: str, steps: int) -> Preset:
    """The preset that a budget comes to: the longest one whose runs on this environment are no longer.

    Other environments than the studied ones are trained in full from `COMPARISON_STEPS` on.
    """
    budgets = BUDGETS.get(env, {"smoke": LEAST, "quick": LEAST + 1, "full": COMPARISON_STEPS})
    return "full" if steps >= budgets["full"] else "quick" if steps > budgets["smoke"] else "smoke"


def absolute(norms: Sequence[str | None]) -> list[str]:
    """Norms by name, None as "none", and by the absolute path of their file, which is found again from elsewhere."""
    names = ["none" if norm is None else norm for norm in norms]
    return [str(Path(name).absolute()) if name.endswith(".py") else name for name in names]


def errors(
    env: str,
    norms: Sequence[str | None],
    seeds: int,
    steps: int,
    lr: float | None,
    environments: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """One sentence for everything that is wrong with such a comparison."""
    options = options or {}
    yield from (f"--option {name} is given as {GIVEN[name]}." for name in options if name in GIVEN)
    if "compile" in options:
        yield "--option compile cannot be given: whether it pays is found out."
    norms = absolute(norms)
    names = [_short(norm) for norm in norms]
    if len(names) < 2 or len(set(names)) < len(names):
        yield f"--norms needs at least two different norms to compare, got {','.join(names) or 'none'!r}."
    yield from too_few({"--seeds": seeds, "--steps": steps})
    yield from setting_errors(
        _experiment(env, steps, lr, environments, {k: v for k, v in options.items() if k not in (*GIVEN, "compile")}),
        {name: {"norm": norm} for name, norm in zip(names, norms)},
        steps if steps > 0 else COMPARISON_STEPS,
    )


def rehearsal_errors(env: str) -> Iterator[str]:
    """The sentence if random actions soon meet an observation or a reward in `env` that is not finite.

    Its agents would all diverge, and nothing would say why. What an environment raises is left to those who train in
    it, and who keep the traceback.
    """
    if env in SCALES:
        return
    rng, actions = np.random.default_rng(0), spaces(env)[1]
    with warnings.catch_warnings(), suppress(EnvironmentFailed):
        warnings.simplefilter("ignore")  # gymnasium says at length that values lie outside of the space
        world = make(env, 1)
        begin = world.reset(0)
        if not np.isfinite(begin).all():
            yield f"environment {env!r} begins with an observation that is not finite: {begin[0].tolist()}."
            return
        for number in range(1, REHEARSED + 1):
            step = world.step(rng.integers(actions, size=1))
            for what, value in (("observation", step.successor), ("reward", step.reward)):
                if not np.isfinite(value).all():
                    got = f"{what} {np.ravel(value).tolist()} at step {number} of random actions"
                    yield f"environment {env!r} gives {got}; expected finite numbers."
                    return


def _short(norm: str) -> str:
    return Path(norm).stem if norm.endswith(".py") else norm


def _listed(norms: Sequence[str]) -> str:
    return " or ".join(f"norm {norm!r}" for norm in norms)


def _experiment(
    env: str, steps: int, lr: float | None, environments: str | None, options: Mapping[str, Any]
) -> Experiment:
    given = {"lr": lr, "environments": environments}
    settings = {**DQN_STUDY, **options, **{name: value for name, value in given.items() if value is not None}}
    longest = max(steps, BUDGETS[env]["full"] if env in BUDGETS else COMPARISON_STEPS)
    return dqn_experiment(env=env, steps={"smoke": steps, "quick": steps, "full": longest}, **settings)
