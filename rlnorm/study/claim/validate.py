"""Checks a declaration before anything runs and reports all errors together.

The same checks hold for the claims that come with rlnorm and for a user's claim (`rlnorm check-claim path.py`).
`claim_errors` needs no engine; `setting_errors` asks the engine that an experiment names.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from numbers import Real
from typing import Any, get_args

from rlnorm.errors import unknown
from rlnorm.study.claim.cost import Cost
from rlnorm.study.claim.declare import (
    FEWEST,
    FIRST_JUDGED,
    PRESETS,
    Claim,
    Effect,
    Experiment,
    LogUniform,
    Part,
    Preset,
    Settings,
)
from rlnorm.study.claim.engines import TRAINING, Engine
from rlnorm.study.claim.exact import Exact
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.question import Asks, Question
from rlnorm.study.claim.scored import SUMMARIES

ASKS = get_args(Asks)
SCALES = ("difference", "ratio", "spread", "standardized")
RULES = ("all", "any")
KINDS = ("exact", "cost", "effect")
LONGEST_TITLE = 8


def errors(claim: Claim) -> Iterator[str]:
    """One sentence for everything that is wrong with a claim, its engines' settings at every preset included."""
    found = list(claim_errors(claim))
    yield from found
    effects = {name: part for name, part in claim.parts.items() if isinstance(part, Effect)}
    for name, part in effects.items():
        if set(part.experiment.steps) >= set(part.presets):  # else said above
            yield from (f"part {name!r}: {sentence}" for sentence in training_errors(part, part.presets))


def claim_errors(claim: Claim) -> Iterator[str]:
    """One sentence for everything that is wrong with a claim's own words, parts, questions and budgets."""
    if not claim.title or len(claim.title.split()) > LONGEST_TITLE:
        yield f"title must have 1 to {LONGEST_TITLE} words, got {claim.title!r}."
    for name, text in (("statement", claim.statement), ("source", claim.source)):
        if not text:
            yield f"{name} is empty; expected a sentence."
    if claim.kind not in KINDS:
        yield unknown("kind", claim.kind, KINDS)
    elif claim.parts and claim.kind not in _kinds(claim):
        yield f"kind must be that of a part, got {claim.kind!r}; the parts are: {', '.join(sorted(_kinds(claim)))}."
    if claim.overall not in RULES:
        yield unknown("overall rule", claim.overall, RULES)
    if not claim.parts:
        yield "the claim has no parts; expected at least one Effect, Exact or Cost."
    elif not claim.decisive:
        yield "no part is decisive, so nothing could decide the claim; expected decisive=True in at least one part."
    groups = {part.group for part in claim.parts.values()} & set(claim.parts)
    for group in sorted(groups):
        yield f"group {group!r} has the name of a part; `--part {group}` could mean either."
    for name, part in claim.parts.items():
        yield from (f"part {name!r}: {sentence}" for sentence in part_errors(part))


def _kinds(claim: Claim) -> set[str]:
    """The kinds that a claim may be filed under: those of its parts, and "cost" where exact parts count bytes."""
    kinds = {part.kind for part in claim.parts.values() if isinstance(part, Effect | Exact | Cost)}
    return kinds | ({"cost"} if "exact" in kinds else set())


def part_errors(part: Part) -> Iterator[str]:
    """One sentence for everything that is wrong with one part, whatever its engine says."""
    if not part.presets:
        yield f"presets is empty; expected some of: {', '.join(PRESETS)}."
    for preset in part.presets:
        if preset not in PRESETS:
            yield unknown("preset", preset, PRESETS)
    if isinstance(part, Effect):
        yield from question_errors(part.question, part.arms)
        yield from _effect_errors(part)
    elif isinstance(part, Cost):
        yield from question_errors(part.question, part.arms)
        if part.question.scale != "ratio":
            yield f"times are compared as a ratio, got the scale {part.question.scale!r}."
        yield from _too_few("repetitions", part.repetitions)
    elif isinstance(part, Exact):
        if part.cases < 1:
            yield f"cases must be at least 1, got {part.cases}."
        if not part.tolerance >= 0:
            yield f"tolerance must be at least 0, got {part.tolerance}."
    else:
        yield f"expected an Effect, an Exact or a Cost, got {type(part).__name__}."


def question_errors(question: Question, arms: Mapping[str, object]) -> Iterator[str]:
    """One sentence for everything that is wrong with a question about these arms."""
    if question.asks not in ASKS:
        yield unknown("question", question.asks, ASKS)
    if question.scale not in SCALES:
        yield unknown("scale", question.scale, SCALES)
    if question.paired and question.scale != "difference":
        yield f"only differences are paired, got the scale {question.scale!r}."
    roles = question.roles
    for role, name in roles.items():
        if name not in arms:
            yield f"the {role} is no arm: {unknown('arm', name, arms)}"
    if len(set(roles.values())) < len(roles):
        yield f"the question names one arm twice: {', '.join(map(repr, roles.values()))}."
    unasked = [name for name in arms if name not in roles.values()]
    if unasked:
        yield f"the question does not ask about every arm: {', '.join(map(repr, unasked))} would be run for nothing."
    yield from question.margin_errors()


def _effect_errors(part: Effect) -> Iterator[str]:
    missing = [preset for preset in part.presets if preset in PRESETS and preset not in part.experiment.steps]
    if missing:
        yield f"no budget at preset {', '.join(missing)}; expected steps for each of: {', '.join(part.presets)}."
    same: dict[str, str] = {}
    controls = (part.question.negative_control, part.question.positive_control)
    for name, arm in part.arms.items():
        twin = same.setdefault(repr(sorted(arm.items())), name)
        if twin != name:
            yield f"arms {twin!r} and {name!r} are the same."
        if part.rates and "lr" in arm and name not in controls:
            yield f"arm {name!r} sets lr, which a part with rates does not use; expected it in the experiment alone."
    if part.question.asks != "superior" and part.question.negative_control is None:
        yield (
            f"question {part.question.asks!r} may be answered by no effect, which counts only where an effect could "
            "have shown; expected negative_control to name an arm that is known to be worse."
        )
    if part.question.paired and part.on_dqn:
        yield "seeds of DQN agents are not paired: what an agent meets is up to it, and arms share none of it."
    yield from metric_errors(part)
    yield from _scale_errors(part)
    yield from _point_errors(part)
    if part.rates and list(part.rates) != sorted(set(part.rates)):
        yield f"rates must be different and increase, got {', '.join(f'{rate:g}' for rate in part.rates)}."
    elif part.rates and "lr" in part.experiment.settings and part.experiment.settings["lr"] not in part.rates:
        yield f"the common rate must be one of the rates, got lr {part.experiment.settings['lr']}."
    if part.judged_from < FIRST_JUDGED:
        yield f"judged_from must be at least {FIRST_JUDGED}, since lower seeds choose rates, got {part.judged_from}."


def _scale_errors(part: Effect) -> Iterator[str]:
    """The sentence if no difference of two scores could exceed the margin."""
    metric = METRICS[part.metric].metric if part.metric in METRICS else None
    if metric is None or metric.random is None or metric.reachable is None or part.question.scale != "difference":
        return
    reach = abs(metric.reachable - metric.random)
    if isinstance(part.question.margin, Real) and part.question.margin >= reach:
        yield f"a margin of {part.question.margin:g} cannot be exceeded: {metric.name} spans {reach:g}."


def metric_errors(part: Effect) -> Iterator[str]:
    """One sentence for each reason why the arms' records have no such score."""
    if part.metric not in METRICS:
        yield unknown("metric", part.metric, METRICS)
        return
    if (part.question.scale == "standardized") != bool(part.second_metric):
        scale = part.question.scale
        yield f"a second metric belongs to the scale 'standardized', got {part.second_metric!r} on the scale {scale!r}."
    elif part.second_metric and part.second_metric not in METRICS:
        yield unknown("second metric", part.second_metric, METRICS)
    engines = {part.experiment.of(arm)[0] for arm in part.arms.values()}
    for name in (name for name in (part.metric, part.second_metric) if name in METRICS):
        if probe := METRICS[name].probe:
            for engine in sorted(each for each in engines if each in TRAINING and not TRAINING[each].probes):
                yield f"metric {name!r} is made of the probe {probe!r}, and engine {engine!r} records no probes."
        budget = part.experiment.settings.get("budget", "updates")
        if METRICS[name].of_budget and budget != "updates":
            yield f"metric {name!r} counts updates, and the budget counts {budget}."


def training_errors(part: Effect, presets: Sequence[Preset]) -> Iterator[str]:
    """One sentence for each setting of an arm, at any point, that its engine does not take at one of these presets."""
    arms = dict[str, Settings]()
    for name, arm in part.arms.items():
        for number, point in enumerate(part.points or ({},)):
            at = {**arm, **point}
            drawn = {key: value for key, value in at.items() if isinstance(value, LogUniform)}
            for end in ("low", "high") if drawn else ("",):
                given = {**at, **{key: getattr(value, end) for key, value in drawn.items()}}
                arms[f"{name} at point {number}" + (f", {end}" if end else "") if point else name] = given
    budgets = sorted({part.experiment.steps[preset] for preset in presets})
    said = (setting_errors(part.experiment, arms, steps, part.rates) for steps in budgets)
    yield from dict.fromkeys(chain.from_iterable(said))


def _point_errors(part: Effect) -> Iterator[str]:
    """One sentence for everything that is wrong with a part's points."""
    if part.summary not in SUMMARIES:
        yield unknown("summary", part.summary, SUMMARIES)
    elif part.summary != "mean" and not part.points:
        yield f"the summary {part.summary!r} is one over points, and the part has none."
    if part.summary == "near best" and part.metric in METRICS and METRICS[part.metric].metric.better == "lower":
        yield f"the summary 'near best' needs a metric whose higher scores are better, got {part.metric!r}."
    if len(part.points) == 1:
        yield "one point is no range; expected at least two, or its settings in the experiment."
    for number, point in enumerate(part.points):
        if point.keys() != part.points[0].keys():
            names = [", ".join(each) or "nothing" for each in (part.points[0], point)]
            yield f"every point sets the same, got {names[0]} at point 0 and {names[1]} at point {number}."
        if part.rates and "lr" in point:
            yield f"point {number} sets lr, which a part with rates does not use."
        for arm, settings in part.arms.items():
            yield from (f"arm {arm!r} and point {number} both set {name}." for name in settings.keys() & point.keys())
    yield from _draw_errors(part)
    if part.seeds is not None:
        yield from _too_few("seeds", part.seeds)


def _too_few(what: str, count: int) -> Iterator[str]:
    """The sentence for a number of runs that no rule judges."""
    if count < FEWEST:
        yield f"{what} must be at least {FEWEST}, got {count}: fewer are not judged, whatever they show."


def _draw_errors(part: Effect) -> Iterator[str]:
    """One sentence for each setting that cannot be drawn."""
    own = TRAINING[part.experiment.engine].per_member if part.experiment.engine in TRAINING else frozenset()
    drawable = sorted({"lr", *own})
    points = {f"point {number}": point for number, point in enumerate(part.points)}
    arms = {f"arm {name!r}": arm for name, arm in part.arms.items()}
    for where, settings in {**points, **arms, "the experiment": part.experiment.settings}.items():
        for name, value in settings.items():
            if not isinstance(value, LogUniform):
                continue
            if where not in points:
                yield f"{where} draws {name}; only points draw their settings."
            elif name not in drawable:
                listed = ", ".join(drawable)
                yield f"{where} draws {name}, which members of one population share; drawn can be: {listed}."
            if not 0 < value.low < value.high < float("inf"):
                yield f"{where} draws {name} from {value.low:g} to {value.high:g}; expected 0 < low < high."


def setting_errors(
    experiment: Experiment, arms: Mapping[str, Settings], steps: int, rates: Sequence[float] = ()
) -> Iterator[str]:
    """One sentence for each setting that the engine does not take; the arm is named where only some have it."""
    found: dict[str, list[str]] = {}
    for name, arm in arms.items():
        engine, settings = experiment.of(arm)
        if engine in TRAINING:
            sentences = _arm_errors(TRAINING[engine], settings, steps, rates)
        else:
            sentences = iter([unknown("engine", engine, TRAINING)])
        for sentence in sentences:
            found.setdefault(sentence, []).append(name)
    for sentence, names in found.items():
        yield sentence if len(names) == len(arms) else f"arm {', '.join(names)}: {sentence}"


def _arm_errors(engine: Engine, settings: dict[str, Any], steps: int, rates: Sequence[float]) -> Iterator[str]:
    if "lr" not in settings:
        yield (
            "no learning rate is set; expected lr among the experiment's settings, such as lr=1e-3, which our DQN "
            "studies have, or lr=0.03 of our supervised ones."
        )
        return
    rates = (*rates, settings.pop("lr"))
    # Parts and claims share arms, and trying a norm on a network takes a while.
    told = repr((engine.module, sorted(settings.items()), rates, steps))
    if told not in _SOUND:
        wrong = list(engine.errors(**settings, seeds=range(len(rates)), rates=rates, steps=steps))
        yield from wrong
        _SOUND.update([] if wrong else [told])


_SOUND = set[str]()
"""Arms, in all their settings, in which this process found nothing wrong."""
