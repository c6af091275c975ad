"""A claim as a person reads it before it is run: what is asked, of which arms, how, for how long."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill

from rlnorm.study.claim import PRESETS, Claim, Cost, Effect, Exact, Part, Preset
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.plan import SELECTION
from rlnorm.study.plan.request import seeds_at
from rlnorm.study.report import wording


def page(found: ClaimFile, width: int = 80) -> str:
    """Everything that a claim declares; parts that differ in their budget, presets or rates alone share a block."""
    claim = found.claim
    lines = [
        f"{found.id}: {claim.title}",
        _wrapped(claim.statement, 0, width),
        "",
        _item("Source", claim.source, width),
        _item("Notes", ", ".join(claim.notes) or wording.NOTHING, width),
        _item("Overall", wording.rule(claim), width),
    ]
    if claim.literature:
        lines.append(_item("Elsewhere", claim.literature, width))
    for parts in _alike(claim):
        part = next(iter(parts.values()))
        lines += ["", *(_wrapped(f"* {name} {_presets(each)}", 0, width, 2) for name, each in parts.items())]
        describe = _effect(parts) if isinstance(part, Effect) else _own(part)
        lines += [_item(name, text, width) for name, text in describe]
    for text, names in _tested(claim).items():
        lines += ["", _wrapped(f"Tested{names and f' ({names})'}: {text}", 0, width, 2)]
    return "\n".join(lines) + "\n"


def _alike(claim: Claim) -> Sequence[Mapping[str, Part]]:
    """Parts in order, those together that ask the same of the same arms in the same setting."""
    blocks: dict[object, dict[str, Part]] = {}
    for name, part in claim.parts.items():
        key = (
            repr(
                (
                    part.experiment,
                    part.arms,
                    part.metric,
                    part.question,
                    part.judged_from,
                    part.seeds,
                    part.points,
                    part.summary,
                    part.second_metric,
                )
            )
            if isinstance(part, Effect)
            else name
        )
        blocks.setdefault(key, {})[name] = part
    return list(blocks.values())


def _presets(part: Part) -> str:
    marks = [part.kind, ", ".join(part.presets)]
    marks += [f"group {part.group}"] if part.group else []
    marks += [] if part.decisive else ["beside"]
    return f"({'; '.join(marks)})"


def _effect(parts: Mapping[str, Part]) -> Iterator[tuple[str, str]]:
    effects = {name: part for name, part in parts.items() if isinstance(part, Effect)}
    part = next(iter(effects.values()))
    yield "Asked", wording.asked(part.question)
    yield "Score", wording.metric(part.metric)
    if part.second_metric:
        yield "", f"against {wording.metric(part.second_metric)}"
    if part.points:
        yield "", wording.points(part)
    for i, (name, arm) in enumerate(part.arms.items()):
        control = wording.control(part.question, name)
        yield "" if i else "Arms", f"{name}: {_settings(arm) or 'as below'}{control}"
    yield "Setting", f"{part.experiment.engine} engine; {_settings(part.experiment.settings)}"
    yield "Rates", "; ".join(dict.fromkeys(_rates(each) for each in effects.values()))
    yield (
        "Size",
        _size(part, [preset for preset in PRESETS if any(preset in each.presets for each in effects.values())]),
    )


def _rates(part: Effect) -> str:
    listed = wording.setting(part.rates)
    if any("lr" in point for point in part.points):
        return "every point sets its own"
    if part.rates:
        controls = part.question.roles.keys() & {"negative control", "positive control"}
        control = "; controls take the reference's" if controls else ""
        return f"own best rate: each arm's of {listed}, chosen on seeds {SELECTION[0]} to {SELECTION[-1]}{control}"
    return "common rate: all arms at the setting's lr"


def _size(part: Effect, presets: Sequence[Preset]) -> str:
    sizes: dict[str, list[str]] = {}
    for preset in presets:
        steps = f"{part.experiment.steps[preset]:,}".replace(",", " ")
        sizes.setdefault(
            f"{seeds_at(part, preset)} seeds, {steps} {wording.budget(part.experiment)}",
            [],
        ).append(preset)
    listed = "; ".join(f"{', '.join(names)}: {size}" for size, names in sizes.items())
    return f"{listed}; seeds from {part.judged_from} on"


def _own(part: Part) -> Iterator[tuple[str, str]]:
    if isinstance(part, Exact | Cost):
        yield "States", part.statement
    if isinstance(part, Cost):
        yield "Asked", wording.asked(part.question)
        yield "Score", "seconds a call (lower is better)"
        yield "Arms", ", ".join(part.arms)
        yield "Size", f"{part.repetitions} interleaved repetitions"


def _tested(claim: Claim) -> Mapping[str, str]:
    """How the exact parts are tested, those together that are tested alike."""
    found: dict[str, list[str]] = {}
    for name, part in claim.parts.items():
        if isinstance(part, Exact):
            limit = f"the largest error may be {part.tolerance:g} of the terms, because {part.rationale}"
            found.setdefault(f"On {part.cases} random cases in float64; {limit}.", []).append(name)
    return {text: "" if len(found) == 1 else "; ".join(names) for text, names in found.items()}


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_setting(value)}" for name, value in settings.items())


def _setting(value: object) -> str:
    if isinstance(value, list | tuple) and len(value) > 3 and len(set(value)) == 1:
        return f"{len(value)} of {wording.setting(value[0])}"
    return wording.setting(value).replace(", ", "/")


def _item(name: str, text: str, width: int) -> str:
    return fill(text, width, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12, break_on_hyphens=False)


def _wrapped(text: str, margin: int, width: int, hang: int = 0) -> str:
    indent = " " * margin
    return fill(text, width, initial_indent=indent, subsequent_indent=indent + " " * hang, break_on_hyphens=False)
