"""What a study's folder remembers of what was asked in it: DIR/study.json, and the same beside the units.

Where one of the two is missing or damaged, the other stands in for it and it is written anew. Where both are, the units
that are there tell what must have been asked.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.files import locked, set_aside, write_atomically
from rlnorm.study.claim import PRESETS, DQNEngine
from rlnorm.study.claim.load import ClaimFile, by_path
from rlnorm.study.plan import Request, plan
from rlnorm.study.plan.request import compared
from rlnorm.study.run.rows import pretty
from rlnorm.study.run.store import Store
from rlnorm.study.run.trust import code_of, trust, trusted

FORMAT = 1
"""Of the file; one without a number is of format 1."""
Entry = Mapping[str, Any]
LEFT = re.compile(r"\.(json|csv|html)\.[0-9a-f]{8}\.partial$")


def remember(requests: Sequence[Request], out: Path) -> dict[str, tuple[str, ...]]:
    """Keep what was asked, beside what was asked in `out` before -> the parts of each claim that are kept now."""
    with locked(out):
        for partial in (*out.glob("*.partial"), *out.glob("*/*.partial")):
            if LEFT.search(partial.name):  # by a writer that was killed: all of them hold the folder's lock
                partial.unlink(missing_ok=True)
        kept, _ = _read(out)
        for one in requests:
            old = kept.get(one.id, {})
            size = _size(vars(one))
            same = size == _size(old)
            # What was run of a claim before stays part of it, unless it is asked anew in another size.
            parts = _joined(old["parts"], one.parts) if same else one.parts
            kept[one.id] = {
                **size,
                "parts": list(parts),
                "recipe": one.arguments,
                "path": str(one.file.path) if one.file.own else None,
            }
            trust(code_of(kept[one.id]))
        for file in _files(out):
            if file.exists() and not isinstance(_content(file), dict):
                set_aside(file)
            write_atomically(file, pretty({"format": FORMAT, "claims": kept}))
    return {one.id: tuple(kept[one.id]["parts"]) for one in requests}


def clashes(requests: Sequence[Request], out: Path) -> Iterator[str]:
    """The sentence for each claim whose id another claim's file already has in `out`."""
    kept, _ = _read(out)
    for one in requests:
        path = kept.get(one.id, {}).get("path")
        if path and one.file.path and Path(path).exists() and not one.file.path.samefile(path):
            yield (
                f"claim {one.id!r} in {str(out)!r} is that of {path!r}, and {str(one.file.path)!r} would take its "
                "place; rename the file, or give another --out."
            )


def replaced(requests: Sequence[Request], out: Path) -> Iterator[str]:
    """One sentence for each claim that was asked in `out` before in another size, and is now shown in this one."""
    kept, _ = _read(out)
    for one in requests:
        old, new = kept.get(one.id), _size(vars(one))
        before = _size(old) if old else new
        recipe = (old or {}).get("recipe") or {}
        others = [f"{name} {value}" for name, value in recipe.items() if (one.arguments or {}).get(name) != value]
        said = f"{_told(**before)} before, and {_told(**new)} now" if before != new else ""
        said = said or (f"with {', '.join(others)} before" if others else "")
        if said:
            yield (
                f"{one.id} was asked here {said}: what is asked now is shown. The earlier units are kept, and shown "
                "again when they are asked for."
            )


def _size(entry: Mapping[str, Any]) -> dict[str, Any]:
    """In what size a request, or an entry of the file, asks for a claim."""
    size = {name: entry.get(name) for name in ("preset", "seeds", "engine", "environments")}
    return {**size, "after": entry.get("after", 0)}


def _told(preset: str, seeds: int | None, engine: str | None, environments: str | None, after: int) -> str:
    named = (f" with {seeds} seeds" if seeds else "", *(f" through {each}" for each in (engine, environments) if each))
    return f"at preset {preset}{''.join(named)}{f' after the first {after}' if after else ''}"


def asked_before(
    out: Path, available: Mapping[str, ClaimFile], trust_all: bool = False
) -> tuple[list[Request], list[str]]:
    """What was asked in `out` before -> (what can be asked again, one sentence for whatever cannot or is damaged).

    `available` are the claims that come with the package. Files of others are run only if they were named here before,
    or with `trust_all`.
    """
    entries, said = _read(out)
    if not entries and (told := _told_by_units(Store(out, any_version=True), available)):
        ids = ", ".join(one.id for one in told)
        return told, [*said, f"What was asked in {str(out)!r} is told from its units: {ids}. Others' units are kept."]
    kept, known = list[Request](), trusted()
    for name, entry in entries.items():
        foreign = [file for file in code_of(entry) if file not in known]
        try:
            if foreign and not trust_all:
                raise ConfigError(
                    f"it is made with {foreign[0]!r}, which would be run and was never named here; "
                    f"`rlnorm report {out} --trust` runs it."
                )
            kept.append(_again(name, entry, available))
            trust(foreign)
        except ConfigError as error:
            said.append(f"claim {name!r}, asked here before, is left out: {' '.join(error.sentences)}")
    return kept, said


def _told_by_units(store: Store, available: Mapping[str, ClaimFile]) -> list[Request]:
    """The claims of which whole parts are there: each at the preset at which most are, the longest of equals."""
    found = list[Request]()
    for file in available.values() if store.files() else ():
        best = Request(file, "full"), list[str]()
        for preset in reversed(PRESETS):
            one = Request(file, preset)
            parts = plan(one, store.records).parts
            whole = [part.name for part in parts if all(map(store.finished, part.units))]
            if len(whole) > len(best[1]):
                best = replace(one, parts=() if len(whole) == len(parts) else tuple(whole)), whole
        if best[1]:
            found.append(best[0])
    return found


def _again(name: str, entry: Entry, available: Mapping[str, ClaimFile]) -> Request:
    if entry.get("recipe"):
        try:
            return compared(**entry["recipe"])
        except TypeError as error:
            raise ConfigError(f"it was asked by another version of rlnorm ({error}).") from error
    file = by_path(entry["path"]) if entry.get("path") else available.get(name)
    if file is None:
        raise ConfigError("there is no such claim any more.")
    own = {what: entry.get(what) for what in ("engine", "environments")}
    one = Request(file, entry["preset"], tuple(entry["parts"]), entry["seeds"], **own, after=entry.get("after", 0))
    # Who steps the environments need not be here to read what was run: EnvPool is large, and not for every machine.
    raise_if_any(replace(one, environments=None).errors())
    return one


def _joined(old: Sequence[str], new: Sequence[str]) -> Sequence[str]:
    """Parts asked for before and now; none named means all of them."""
    return list(dict.fromkeys((*old, *new))) if old and new else []


def _files(out: Path) -> tuple[Path, Path]:
    return out / "study.json", out / "units" / "study.json"


def _read(out: Path) -> tuple[dict[str, Entry], list[str]]:
    """The entries that can be used, by the claim's id, and one sentence for whatever is damaged."""
    first, second = _files(out)
    found, copy = _content(first), _content(second)
    if found is None and copy is None:
        return {}, []
    if isinstance(found, dict):
        claims, said = found, list[str]()
    elif isinstance(copy, dict):
        claims, said = copy, [f"{str(first)!r} is {found or 'missing'}; its copy {str(second)!r} is used."]
    else:
        said = [f"{str(first)!r} is {found or 'missing'}: what was asked there before is not known; units are kept."]
        return {}, said
    wrong = {name: why for name, entry in claims.items() if (why := _wrong(entry))}
    said += [f"claim {name!r} in {str(first)!r} is left out: {why}." for name, why in wrong.items()]
    return {name: entry for name, entry in claims.items() if name not in wrong}, said


def _content(file: Path) -> dict[str, Any] | str | None:
    """The entries in a file, unchecked; what is wrong with it; None where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        return f"damaged ({error})"
    except OSError as error:
        return f"damaged ({error.strerror})"
    claims = content.get("claims") if isinstance(content, dict) else None
    if not isinstance(claims, dict):
        return "damaged (it holds no claims)"
    if content.get("format", FORMAT) != FORMAT:
        return f"of another version of rlnorm (format {content['format']}, expected {FORMAT})"
    return claims


def _wrong(entry: object) -> str | None:
    """What is wrong with an entry; None where it is as `remember` writes it."""
    if not isinstance(entry, dict):
        return f"it is {type(entry).__name__}, no entry"
    seeds, recipe, parts = entry.get("seeds"), entry.get("recipe"), entry.get("parts")
    expected = {
        "preset": entry.get("preset") in PRESETS,
        "parts": isinstance(parts, list) and all(isinstance(part, str) for part in parts),
        "seeds": seeds is None or (type(seeds) is int and seeds > 0),
        "after": type(entry.get("after", 0)) is int,
        "engine": entry.get("engine") in (None, *get_args(DQNEngine)),
        "path": isinstance(entry.get("path"), str | None),
        "recipe": recipe is None or (isinstance(recipe, dict) and not _wrong_in_recipe(recipe)),
    }
    return next((f"{name} is {entry.get(name)!r}" for name, right in expected.items() if not right), None)


def _wrong_in_recipe(recipe: Mapping[str, Any]) -> bool:
    """Whether a value is not of its kind; keys are for `compared` to check."""
    kinds: Mapping[str, Any] = {"env": str, "seeds": int, "steps": int, "lr": float | None}
    norms = recipe.get("norms", [])
    return any(not isinstance(recipe[key], kind) for key, kind in kinds.items() if key in recipe) or not (
        isinstance(norms, list) and all(isinstance(norm, str) for norm in norms)
    )
