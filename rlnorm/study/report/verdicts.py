"""Verdicts as rows for programs: each stands alone, with what was asked, what came out, and what made it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlnorm.errors import ConfigError
from rlnorm.files import write_atomically
from rlnorm.study.claim import Cost, Effect, Exact
from rlnorm.study.judge import ArmResult, ClaimResult, PartResult, StudyResult, Verdict
from rlnorm.study.judge.verdict import EffectDetails
from rlnorm.study.report import answers, wording
from rlnorm.study.run.rows import pretty

SCHEMA = 2
"""Of a row. Rows without a number are of schema 1 and have `FIELDS` alone."""
FIELDS = ("claim", "part", "verdict", "estimate", "low", "high", "margin", "n", "diverged", "preset", "steps")
"""What the rows decide, whichever version of the code or the libraries judges them."""
Row = Mapping[str, Any]


def write(study: StudyResult, out: Path) -> None:
    """Write DIR/<claim>/verdict.json with all details, and DIR/verdicts.json with every row of the study."""
    for claim in study.claims:
        found = [claim.overall, *(part.verdict for part in claim.parts)]
        write_atomically(out / claim.id / "verdict.json", pretty([row.row() for row in found]))
    write_atomically(out / "verdicts.json", pretty(rows(study)))


def read(directory: Path) -> list[Row]:
    """The rows of DIR/verdicts.json, of any schema up to ours.

    Raises ConfigError where there is none, it is damaged, or a later version of rlnorm wrote it.
    """
    file = directory / "verdicts.json"
    again = f"`rlnorm report {directory}` writes it"
    try:
        found = json.loads(file.read_text("utf-8"))
        lacking = {field for row in found for field in FIELDS if field not in row}
        newest = max((int(row.get("schema", 1)) for row in found), default=SCHEMA)
    except OSError:
        raise ConfigError(f"{str(directory)!r} holds no verdicts.json; {again}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{str(file)!r} is damaged ({error}); {again} anew.") from None
    if lacking:
        raise ConfigError(f"{str(file)!r} is damaged (rows lack {', '.join(sorted(lacking))}); {again} anew.")
    if newest > SCHEMA:
        raise ConfigError(f"{str(file)!r} is of schema {newest}, and this version of rlnorm reads up to {SCHEMA}.")
    return found


def rows(study: StudyResult) -> list[dict[str, Any]]:
    """Every row of DIR/verdicts.json: of each claim the overall one, then those of its parts.

    schema                       the number of this form
    FIELDS                       as in `Verdict`; numbers are null where there are none
    preview                      whether it rests on runs of a short preset
    kind, title                  effect, exact or cost; the claim's title
    question, asks, scale, level what was asked in words and by name; what the estimate is; the interval's level
    metric, arms                 what is scored; arm -> n, mean, low, high, iqm, diverged, rate
    settings                     {"common": ..., "arms": arm -> what it alone has}
    reason                       why, in a sentence
    versions, commit, computed   libraries and checkout that judged, and the checkouts that computed the rows
    command                      what to type to run the claim again
    """
    found = list[dict[str, Any]]()
    for claim in study.claims:
        found.append(_row(study, claim, claim.overall, None))
        found += [_row(study, claim, part.verdict, part) for part in claim.parts]
    return found


def _row(study: StudyResult, claim: ClaimResult, verdict: Verdict, part: PartResult | None) -> dict[str, Any]:
    whole, declared = verdict.row(), claim.claim.parts.get(part.name) if part else None
    question = declared.question if isinstance(declared, Effect | Cost) else None
    made = part.commits if part else dict.fromkeys(commit for each in claim.parts for commit in each.commits)
    return {
        "schema": SCHEMA,
        **{field: whole[field] for field in FIELDS},
        "preview": answers.is_preview(verdict) if part else answers.is_preview_of(claim),
        "kind": part.kind if part else claim.claim.kind,
        "title": claim.claim.title,
        "question": wording.asked(question) if question else _statement(declared) or claim.claim.statement,
        "asks": question.asks if question else None,
        "scale": wording.scale_of(declared) if declared else None,
        "level": verdict.judgement.level,
        "metric": part.metric if part else None,
        "arms": {arm.name: _arm(arm, verdict) for arm in part.arms.values()} if part else {},
        "settings": _settings(part.arms) if part and part.arms else {},
        "reason": whole["reason"],
        "versions": dict(study.versions),
        "commit": study.commit,
        "computed": list(made),
        "command": claim.command,
    }


def _statement(part: object) -> str:
    return part.statement if isinstance(part, Exact | Cost) else ""


def _arm(arm: ArmResult, verdict: Verdict) -> dict[str, Any]:
    details = verdict.judgement.details
    summary = details.arms.get(arm.name) if isinstance(details, EffectDetails) else None
    figures = asdict(summary) if summary else {"n": len(arm.seeds)}
    return {**figures, "rate": arm.rate}


def _settings(arms: Mapping[str, ArmResult]) -> dict[str, Any]:
    names = dict.fromkeys(name for arm in arms.values() for name in arm.settings)
    shared = {name for name in names if len({repr(arm.settings.get(name)) for arm in arms.values()}) == 1}
    first = next(iter(arms.values()))
    return {
        "common": {name: first.settings.get(name) for name in names if name in shared},
        "arms": {
            arm.name: {name: value for name, value in arm.settings.items() if name not in shared}
            for arm in arms.values()
        },
    }


def listed(study: StudyResult) -> Sequence[Verdict]:
    """Every verdict: of each claim the overall one, then those of its parts."""
    return [row for claim in study.claims for row in (claim.overall, *(part.verdict for part in claim.parts))]
