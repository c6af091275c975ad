"""A claim as a person reads it before it is run: what is asked, of which arms, how, for how long."""

from collections.abc import Iterator, Mapping, Sequence

from rlnorm.study.claim import PRESETS, Claim, Cost, Effect, Exact, Part, Preset
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.plan import SELECTION
from rlnorm.study.plan.request import seeds_at
from rlnorm.study.report import language, notes, wording
from rlnorm.study.report.language import t

ITEMS = ("Source", "Notes", "Overall", "Elsewhere", "Asked", "Score", "Arms", "Setting", "Rates", "Size", "States")


def page(found: ClaimFile, width: int = 80) -> str:
    """Everything that a claim declares; parts that differ in their budget, presets or rates alone share a block."""
    claim = found.claim
    lines = [
        f"{found.id}: {notes.title(found.id, claim.title)}",
        _wrapped(claim.statement, width),
        "",
        _item("Source", claim.source, width),
        _item("Notes", _notes(found), width),
        _item("Overall", wording.rule(claim), width),
    ]
    if claim.literature:
        lines.append(_item("Elsewhere", claim.literature, width))
    for parts in _alike(claim):
        part = next(iter(parts.values()))
        lines += ["", *(_wrapped(f"* {name} {_presets(each)}", width, 2) for name, each in parts.items())]
        describe = _effect(parts) if isinstance(part, Effect) else _own(part)
        lines += [_item(name, text, width) for name, text in describe]
    for text, names in _tested(claim).items():
        lines += ["", _wrapped(f"{t('Tested')}{names and f' ({names})'}: {text}", width, 2)]
    return "\n".join(lines) + "\n"


def _notes(found: ClaimFile) -> str:
    """The study notes that make a claim, with what they say."""
    names, note = ", ".join(found.claim.notes) or wording.NOTHING, notes.of(found.id)
    return f"{names}: {note.said}" if note and note.said else names


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
    marks += [t("group {name}", name=part.group)] if part.group else []
    marks += [] if part.decisive else [t("beside")]
    return f"({'; '.join(marks)})"


def _effect(parts: Mapping[str, Part]) -> Iterator[tuple[str, str]]:
    effects = {name: part for name, part in parts.items() if isinstance(part, Effect)}
    part = next(iter(effects.values()))
    yield "Asked", wording.asked(part.question)
    yield "Score", wording.metric(part.metric)
    if part.second_metric:
        yield "", t("against {metric}", metric=wording.metric(part.second_metric))
    if part.points:
        yield "", wording.points(part)
    for i, (name, arm) in enumerate(part.arms.items()):
        known = wording.control(part.question, name)
        yield (
            "" if i else "Arms",
            "; ".join([f"{name}: {_settings(arm) or t('as below')}", *([known] if known else [])]),
        )
    yield "Setting", t("{name} engine", name=part.experiment.engine) + f"; {_settings(part.experiment.settings)}"
    yield "Rates", "; ".join(dict.fromkeys(_rates(each) for each in effects.values()))
    yield (
        "Size",
        _size(part, [preset for preset in PRESETS if any(preset in each.presets for each in effects.values())]),
    )


def _rates(part: Effect) -> str:
    listed = wording.setting(part.rates)
    if any("lr" in point for point in part.points):
        return t("every point sets its own")
    if part.rates:
        controls = part.question.roles.keys() & {"negative control", "positive control"}
        control = "; " + t("controls take the reference's where they state none") if controls else ""
        seeds = {"first": SELECTION[0], "last": SELECTION[-1]}
        text = t("own best rate: each arm's of {rates}, chosen on seeds {first} to {last}", rates=listed, **seeds)
        return text + control
    return t("common rate: all arms at the setting's lr")


def _size(part: Effect, presets: Sequence[Preset]) -> str:
    sizes: dict[str, list[str]] = {}
    for preset in presets:
        steps = f"{part.experiment.steps[preset]:,}".replace(",", " ")
        size = t("{count} seeds", count=seeds_at(part, preset)) + f", {steps} {wording.budget(part.experiment)}"
        sizes.setdefault(size, []).append(preset)
    listed = "; ".join(f"{', '.join(names)}: {size}" for size, names in sizes.items())
    return f"{listed}; " + t("seeds from {first} on", first=part.judged_from)


def _own(part: Part) -> Iterator[tuple[str, str]]:
    if isinstance(part, Exact | Cost):
        yield "States", part.statement
    if isinstance(part, Cost):
        yield "Asked", wording.asked(part.question)
        yield "Score", t("seconds a call (lower is better)")
        yield "Arms", ", ".join(part.arms)
        yield "Size", t("{count} interleaved repetitions", count=part.repetitions)


def _tested(claim: Claim) -> Mapping[str, str]:
    """How the exact parts are tested, those together that are tested alike."""
    found: dict[str, list[str]] = {}
    for name, part in claim.parts.items():
        if isinstance(part, Exact):
            text = t("On {cases} random cases in float64", cases=part.cases) + "; "
            text += t("the largest error may be {tolerance} of the terms", tolerance=f"{part.tolerance:g}")
            found.setdefault(f"{text}, " + t("because {why}", why=part.rationale) + ".", []).append(name)
    return {text: "" if len(found) == 1 else "; ".join(names) for text, names in found.items()}


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_setting(value)}" for name, value in settings.items())


def _setting(value: object) -> str:
    if isinstance(value, list | tuple) and len(value) > 3 and len(set(value)) == 1:
        return f"{len(value)} of {wording.setting(value[0])}"
    return wording.setting(value).replace(", ", "/")


def _item(name: str, text: str, width: int) -> str:
    return language.wrapped(text, width, f"  {language.padded(t(name) if name else '', 10)}", " " * 12)


def _wrapped(text: str, width: int, hang: int = 0) -> str:
    return language.wrapped(text, width, "", " " * hang)
