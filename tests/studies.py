"""Finished studies made up for the tests of everything that shows results: no engine runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rlnorm.study.claim import Claim, Effect, Exact, Metric, Preset, Question, dqn_experiment, supervised_experiment
from rlnorm.study.judge import ArmResult, ClaimResult, Curve, PartResult, StudyResult
from rlnorm.study.judge.rules import judge
from rlnorm.study.judge.verdict import ExactDetails, Judgement, Outcome, Sample, Verdict

STEPS: Mapping[Preset, int] = {"smoke": 2_000, "quick": 100_000, "full": 500_000}
KNOWN = {
    "return_auc": Metric("return_auc", "higher", "normalized return", 0.0, 1.0),
    "accuracy": Metric("accuracy", "higher", "test accuracy", 0.1, 1.0),
    "updates": Metric("updates", "lower", "updates to a threshold"),
}
EXACT = Exact(
    statement="a = b", formula=lambda case: 0, truth=lambda case: 0, draw=lambda rng: {}, scale=lambda case: 1
)
SNAPSHOT = {
    "norm1": {
        **{what: {"min": -2.0, "max": 3.0, "counts": [1, 40, 80, 30, 9]} for what in ("before", "after")},
        "gamma": {"min": 1.0, "max": 1.0, "counts": [64]},
        "beta": {"min": -0.5, "max": 0.5, "counts": [32, 32]},
        **{f"{what}_offset": {"min": -0.1, "max": 0.2, "counts": [3, 60, 1]} for what in ("mean", "spread")},
    },
    "output": {"gradient": {"min": -1e-3, "max": 1e-3, "counts": [5, 118, 5]}},
}
EVIL = "<script>alert('&\"x\"')</script>"


def arm(
    name: str, level: float, *, seeds: int = 16, diverged: int = 0, engine: str = "dqn", **settings: object
) -> ArmResult:
    """An arm whose runs end around `level`; the last `diverged` of them diverge half way."""
    rng = np.random.default_rng(sum(map(ord, name)))
    steps = np.linspace(2_000, 100_000, 50)
    rise = 1 - np.exp(-steps / 40_000)
    runs = np.clip(level + 0.05 * rng.standard_normal((seeds, 1)), 0, 1)
    noise = rng.standard_normal((3, seeds, 50))
    lost = np.zeros(seeds, bool)
    if diverged:
        lost[-diverged:] = True
    values = {
        "dqn": {
            "return": 20 + 480 * runs * rise + 15 * noise[0],
            "loss": 0.5 * np.exp(0.3 * noise[1]) * (0.2 + rise),
            "q": 60 * runs * rise + noise[2],
            "epsilon": np.tile(np.maximum(0.05, 1 - steps / 50_000), (seeds, 1)),
        },
        "supervised": {
            "loss": 2.3 * np.exp(-3 * runs * rise) + 0.03 * noise[0],
            "test_accuracy": np.clip(0.1 + 0.87 * runs * rise + 0.01 * noise[2], 0, 1),
        },
    }[engine]
    for value in values.values():
        value[lost, 25:] = np.nan
    scores = np.where(lost, 0.0, runs[:, 0] * 0.7)
    common = {
        "env": "CartPole-v1",
        "hidden": [64, 64],
        "batch": 128,
        "gamma": 0.99,
        "place": "pre",
        "target_norm": None,
    }
    return ArmResult(
        name=name,
        settings={**common, "norm": name, "steps": 100_000, **settings},
        seeds=tuple(range(8, 8 + seeds)),
        rate=1e-3,
        scores=scores,
        diverged=lost,
        final=500 * runs[:, 0] if engine == "dqn" else None,
        curves={key: Curve(steps, value) for key, value in values.items()},
        probes={"norm/norm1/mean_gap": Curve(steps[::5], values["loss"][:, ::5])} if engine == "dqn" else {},
        snapshots=[(int(step), SNAPSHOT) for step in steps[::12]] if engine == "dqn" else (),
    )


def judged(claim_id: str, name: str, part: Effect, arms: Mapping[str, ArmResult]) -> PartResult:
    """The part of a claim that the judge makes of these arms."""
    samples = {arm.name: Sample(arm.scores, arm.diverged) for arm in arms.values()}
    found = judge(part.question, samples, KNOWN[part.metric])
    verdict = Verdict(claim_id, name, found, part.question.margin, "quick", part.experiment.steps["quick"])
    return PartResult(name, "effect", verdict, part.metric, arms, ("a1b2c3", "d4e5f6"))


def overall(verdict: Verdict) -> Verdict:
    """The verdict on a claim of that one part."""
    return replace(verdict, part="overall", judgement=replace(verdict.judgement, details=None))


def dqn_claim(treatment: str = "layer", claim_id: str = "dqn-ln", **changes: Any) -> ClaimResult:
    """An effect claim of two parts over arms none, `treatment`: the first refuted, with diverged runs."""
    question = Question(asks="not better", treatment=treatment, reference="none", margin=0.05)
    experiment = dqn_experiment(steps=STEPS, env="CartPole-v1")
    part = Effect(
        experiment=experiment,
        arms={"none": {"norm": "none"}, treatment: {"norm": treatment}},
        metric="return_auc",
        question=question,
    )
    names = "CartPole-v1, common rate", "CartPole-v1, own best rate"
    claim = Claim(
        title=f"In DQN {treatment} normalization is useless",
        kind="effect",
        statement=f"In DQN {treatment} normalization is useless: it does not raise the training return by the margin.",
        source="Study note N0, “Normalization in DQN”",
        notes=("N0",),
        parts=dict.fromkeys(names, part),
        literature="Gallici et al. 2024 (arXiv:2407.04811): LayerNorm lets DQN learn without a target network.",
    )
    none = arm("none", 0.45)
    common = {"none": none, treatment: arm(treatment, 0.85, diverged=1, hidden=[64, 64, 64])}
    own = {"none": none, treatment: arm(treatment, 0.52)}
    parts = tuple(judged(claim_id, name, part, arms) for name, arms in zip(names, (common, own)))
    overall = Verdict(claim_id, "overall", Judgement("refuted", "One of its two parts is refuted."), preset="quick")
    return replace(ClaimResult(claim_id, claim, parts, overall), **changes)


def two_environments() -> ClaimResult:
    """A claim that asks the same on CartPole and on Acrobot, and once more at own best rates on one of them."""
    whole = dqn_claim()
    part = whole.claim.parts[whole.parts[0].name]
    assert isinstance(part, Effect)
    acrobot = replace(part, experiment=replace(part.experiment, settings={"env": "Acrobot-v1"}))
    own = replace(part, rates=(1e-3, 2e-3))
    parts = {"CartPole-v1": part, "Acrobot-v1": acrobot, "CartPole-v1, own best rate": own}
    arms = {"none": arm("none", 0.45), "layer": arm("layer", 0.85)}
    found = tuple(judged(whole.id, name, each, arms) for name, each in parts.items())
    return replace(whole, claim=replace(whole.claim, parts=parts), parts=found)


def relu_claim(metric: str = "accuracy") -> ClaimResult:
    """A supervised effect claim asking for equivalence, one part; "updates" makes it a ratio, lower is better."""
    ratio = metric == "updates"
    question = Question(
        asks="equivalent",
        treatment="batch",
        reference="none",
        margin=1.25 if ratio else 0.05,
        scale="ratio" if ratio else "difference",
        negative_control="tiny",
    )
    arms = {"none": {"norm": "none"}, "batch": {"norm": "batch"}, "tiny": {"norm": "none", "width": 2}}
    part = Effect(
        experiment=supervised_experiment(steps=STEPS, data="digits"), arms=arms, metric=metric, question=question
    )
    claim = Claim(
        title="With ReLU batch normalization is pointless",
        kind="effect",
        statement="With ReLU batch normalization is pointless.",
        source="Study note N0",
        notes=("N0", "N2"),
        parts={"digits, depth 2": part},
    )
    levels = {"none": 0.85, "batch": 0.84, "tiny": 0.5}
    results = {name: arm(name, level, engine="supervised") for name, level in levels.items()}
    made = judged("bn-relu", "digits, depth 2", part, results)
    return ClaimResult("bn-relu", claim, (made,), overall(made.verdict))


def exact_claim(outcome: Outcome = "refuted") -> ClaimResult:
    """An exact claim with a counterexample."""
    name = "against finite differences"
    claim = Claim(
        title="The short formula is the gradient",
        kind="exact",
        statement="The short formula of the note is the gradient of batch normalization with respect to its input.",
        source="Study note N0",
        notes=("N0",),
        parts={name: EXACT},
    )
    details = ExactDetails(
        statement="dL/dx_i = dL/dxhat_i / std - dL/dgamma 2(x - mu) / (m (m-1) std) - dL/dbeta / m",
        tolerance=1e-6,
        rationale="float64 rounds at 1e-16",
        median_error=0.21,
        missed=200,
        counterexample={"x": [0.0, 1.0], "dy": [1.0, -0.5], "formula": [0.3, 0.1], "truth": [0.0, 0.0]},
    )
    reason = "200 of 200 cases miss the tolerance 1e-06; median error 2.1e-01, largest 8.3e-01."
    verdict = Verdict("bn-grad-input-short", name, Judgement(outcome, reason, details, 0.83, n=200), margin=1e-6)
    part = PartResult(name, "exact", verdict, "largest error", {}, ("0f0f0f",))
    return ClaimResult(verdict.claim, claim, (part,), overall(verdict))


def unfinished_claim() -> ClaimResult:
    """An effect claim of which nothing has been trained yet: arms without runs, verdicts without figures."""
    whole = dqn_claim()
    empty = {
        name: replace(
            each, seeds=(), rate=None, scores=np.zeros(0), diverged=np.zeros(0, bool), final=np.zeros(0), curves={}
        )
        for name, each in whole.parts[0].arms.items()
    }
    part = whole.claim.parts[whole.parts[0].name]
    assert isinstance(part, Effect)
    parts = tuple(judged("dqn-ln", each.name, part, empty) for each in whole.parts)
    overall = replace(whole.overall, judgement=Judgement("insufficient", "Nothing has run."))
    return replace(whole, parts=parts, overall=overall)


def all_diverged_claim() -> ClaimResult:
    """An effect claim in which every run of the treatment diverged before its first record."""
    whole = dqn_claim()
    part = whole.claim.parts[whole.parts[0].name]
    assert isinstance(part, Effect)
    arms = dict(whole.parts[0].arms)
    lost = arms["layer"]
    blank, bare = (
        {key: replace(curve, values=np.full_like(curve.values, np.nan)) for key, curve in curves.items()}
        for curves in (lost.curves, lost.probes)
    )
    ended = {"scores": np.zeros(16), "diverged": np.ones(16, bool), "final": np.full(16, np.nan)}
    arms["layer"] = replace(lost, **ended, curves=blank, probes=bare)
    return replace(whole, parts=(judged("dqn-ln", whole.parts[0].name, part, arms),))


def study(*claims: ClaimResult, **changes: Any) -> StudyResult:
    """A study of the given claims, or of one of every kind."""
    found = claims or (dqn_claim(), dqn_claim("batch", "dqn-bn"), relu_claim(), exact_claim())
    result = StudyResult(
        claims=found,
        preset="quick",
        created="2026-07-01T12:00:00+00:00",
        commit="0123456789abcdef0123456789abcdef01234567",
        versions={"rlnorm": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        command="rlnorm run dqn-ln dqn-bn bn-relu bn-grad-input-short --preset quick",
        seconds=274.0,
        hardware="x86_64, 2 cores",
    )
    return replace(result, **changes)
