"""One's own question without a claim: norms compared on an environment, by the same engine, rules and outputs."""

from collections.abc import Iterator, Mapping, Sequence

from rlnorm.errors import raise_if_any, unknown
from rlnorm.nn import NORMS
from rlnorm.study.assess import Asked
from rlnorm.study.claim import DQN, PRESETS, Arm, Claim, Effect
from rlnorm.study.discover import Found
from rlnorm.study.judge import Question
from rlnorm.study.settings import DQN_STUDY
from rlnorm.tasks.environments import SCALES, environment_errors

DEFAULT_STEPS = 100_000


def compare(env: str, norms: Sequence[str], seeds: int, steps: int, lr: float | None = None) -> Asked:
    """The comparison of every norm with the first one, as something to run and judge.

    Where the environment has constants (`SCALES`) the score is the normalized area under the training-return curve and
    the margin 0.05 of it; elsewhere it is the area in plain returns and the margin is 0. Raises ConfigError with every
    error at once.
    """
    raise_if_any(_errors(env, norms, seeds, steps))
    first, *others = norms
    settings = {**DQN_STUDY, **({"lr": lr} if lr else {})}
    known = env in SCALES
    claim = Claim(
        statement=f"On {env}, DQN with {_listed(others)} scores better than with norm {first!r}.",
        source="a question of one's own",
        notes=(),
        parts={
            f"{other} against {first}": Effect(
                experiment=DQN(env=env, steps=dict.fromkeys(PRESETS, steps), **settings),
                arms={first: Arm(norm=first), other: Arm(norm=other)},
                metric="return_auc" if known else "plain_return_auc",
                question=Question("superior", treatment=other, reference=first, margin=0.05 if known else 0.0),
            )
            for other in others
        },
    )
    name = f"train-{env}-{'-'.join(norms)}".lower()
    recipe = {"env": env, "norms": list(norms), "seeds": seeds, "steps": steps, "lr": lr}
    return Asked(Found(name, claim, None), "full", seeds=seeds, recipe=recipe)


def _listed(norms: Sequence[str]) -> str:
    return " or ".join(f"norm {norm!r}" for norm in norms)


def _errors(env: str, norms: Sequence[str], seeds: int, steps: int) -> Iterator[str]:
    yield from environment_errors(env)
    for norm in norms:
        if norm not in NORMS:
            yield unknown("norm", norm, NORMS)
    if len(norms) < 2 or len(set(norms)) < len(norms):
        yield f"--norms needs at least two different norms to compare, got {','.join(norms) or 'none'!r}."
    for name, value in {"--seeds": seeds, "--steps": steps}.items():
        if value < 1:
            yield f"{name} must be at least 1, got {value}."


def again(recipe: Mapping[str, object]) -> Asked:
    """The comparison that `Asked.recipe` describes."""
    return compare(**recipe)  # pyright: ignore[reportArgumentType]
