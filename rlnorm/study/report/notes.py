"""What the study notes say, claim by claim, in English and Korean, and the page that lists it (docs/notes.md).

`rlnorm/study/report/notes.toml` holds it: a claim's title in Korean, and the sentence of the notes that makes it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from rlnorm.study.report.language import spoken

NOTES: Mapping[str, str] = {
    "N0": "BatchNorm in general, its backward formulas, ReLU, and DQN",
    "N1": "motives, and the full derivation of the backward pass",
    "N2": "BatchNorm in practice: no bias, train and test statistics, covariate shift",
    "N3": "concept, process, effects, cautions",
    "N4": "batch learning, order, folding at inference, convolutions, weight and layer norm, self-normalizing nets",
}
"""What each study note is about."""


@dataclass(frozen=True)
class Note:
    """A claim's title in Korean, and the sentence of the notes in both languages: empty where no note makes it."""

    title_ko: str
    en: str
    ko: str

    @property
    def said(self) -> str:
        """The sentence in the spoken language."""
        return self.ko if spoken() == "ko" else self.en


@cache
def listed() -> Mapping[str, Note]:
    """claim -> its note, in the order of the catalogue."""
    text = (files("rlnorm.study.report") / "notes.toml").read_text("utf-8")
    return {
        claim: Note(found["title"], found.get("en", ""), found.get("ko", ""))
        for claim, found in tomllib.loads(text).items()
    }


def of(claim: str) -> Note | None:
    """The note of one claim; None for a claim of one's own."""
    return listed().get(claim)


def title(claim: str, english: str) -> str:
    """A claim's title in the spoken language; `english` where it is not known in another."""
    known = of(claim)
    return known.title_ko if known and spoken() == "ko" else english


def page(claims: Iterable[tuple[str, str, tuple[str, ...]]]) -> str:
    """The page docs/notes.md: (id, title, notes) of claims -> each sentence under the first note that makes it."""
    rows = [(claim, title, notes) for claim, title, notes in claims if of(claim)]
    lines = [
        "# What the study notes say",
        "",
        "The claims come from five study notes, which are in Korean. Their files are not kept here: each sentence is a",
        "paraphrase, in English and in Korean. `rlnorm show ID` says how we made it precise.",
        "",
        *(f"- **{name}**: {about}" for name, about in NOTES.items()),
        "",
        "Made by `python scripts/notes_page.py docs/notes.md`.",
    ]
    for name in NOTES:
        lines += ["", f"## {name}"]
        for claim, title, notes in rows:
            note = of(claim)
            if note and note.en and notes[:1] == (name,):
                more = f" (also {', '.join(notes[1:])})" if notes[1:] else ""
                lines += ["", f"**{claim}**{more}: {title}. {note.title_ko}.", "", f"> {note.en}", ">", f"> {note.ko}"]
    return "\n".join(lines) + "\n"
