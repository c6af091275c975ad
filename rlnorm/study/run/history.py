"""What a study's folder remembers of what was asked in it: DIR/study.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.files import locked, write_atomically
from rlnorm.study.claim.load import ClaimFile, by_path
from rlnorm.study.plan.request import Request, compared
from rlnorm.study.run.store import pretty


def remember(requests: Sequence[Request], out: Path) -> dict[str, tuple[str, ...]]:
    """Keep what was asked, beside what was asked in `out` before -> the parts of each claim that are kept now."""
    with locked(out):
        kept = _read(out)
        for one in requests:
            old = kept.get(one.id, {})
            size = {what: getattr(one, what) for what in ("preset", "seeds", "engine", "environments")}
            same = size == {what: old.get(what) for what in size}
            # What was run of a claim before stays part of it, unless it is asked anew in another size.
            parts = _joined(old["parts"], one.parts) if same else one.parts
            kept[one.id] = {
                **size,
                "parts": list(parts),
                "recipe": one.arguments,
                "path": str(one.file.path) if one.file.own else None,
            }
        write_atomically(out / "study.json", pretty({"claims": kept}))
    return {one.id: tuple(kept[one.id]["parts"]) for one in requests}


def asked_before(out: Path, available: Mapping[str, ClaimFile]) -> tuple[list[Request], list[str]]:
    """What was asked in `out` before -> (what can be asked again, one sentence for each claim that cannot).

    `available` are the claims that come with the package.
    """
    kept, lost = list[Request](), list[str]()
    for name, entry in _read(out).items():
        try:
            if entry.get("recipe"):
                kept.append(compared(**entry["recipe"]))
                continue
            file = by_path(entry["path"]) if entry.get("path") else available.get(name)
            if file is None:
                raise ConfigError("there is no such claim any more.")
            one = Request(
                file,
                entry["preset"],
                tuple(entry["parts"]),
                entry["seeds"],
                entry.get("engine"),
                environments=entry.get("environments"),
            )
            raise_if_any(one.errors())
            kept.append(one)
        except ConfigError as error:
            lost.append(f"claim {name!r}, asked here before, is left out: {' '.join(error.sentences)}")
    return kept, lost


def _joined(old: Sequence[str], new: Sequence[str]) -> Sequence[str]:
    """Parts asked for before and now; none named means all of them."""
    return list(dict.fromkeys((*old, *new))) if old and new else []


def _read(out: Path) -> dict[str, dict[str, Any]]:
    file = out / "study.json"
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))["claims"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{str(file)!r} is damaged ({error}); remove it to begin a new study there.") from error
