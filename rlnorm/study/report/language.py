"""The language that people read: English, or Korean with `--lang ko`.

Texts are written in English where they are used and looked up in `korean.SAID` when they are said. What is no text of
ours (names of parts and arms, the judge's reasons, settings) stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.cells import cell_len

from rlnorm.errors import unknown
from rlnorm.study.report.korean import SAID

LANGUAGES = ("en", "ko")
_spoken: ContextVar[str] = ContextVar("spoken", default="en")


def errors(language: str) -> Iterator[str]:
    """The sentence if nobody here speaks `language`."""
    if language not in LANGUAGES:
        yield unknown("language", language, LANGUAGES)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything in `language`, one of `LANGUAGES`, inside the context."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def spoken() -> str:
    """The language that is spoken now."""
    return _spoken.get()


def width(text: str) -> int:
    """Columns that a text takes in a terminal: a Hangul syllable takes two."""
    return cell_len(text)


def padded(text: str, columns: int) -> str:
    """`text` filled up with spaces to `columns`."""
    return text + " " * (columns - width(text))


def wrapped(text: str, columns: int, first: str = "", rest: str = "") -> str:
    """`text` in lines of at most `columns`; `first` stands before the first line, `rest` before the others."""
    lines, line = list[str](), first
    for word in text.split():
        if line.strip() and line not in (first, rest) and width(f"{line} {word}") > columns:
            lines.append(line)
            line = rest
        line += word if line in (first, rest) else f" {word}"
    return "\n".join([*lines, line])


def t(text: str, **values: object) -> str:
    """`text` in the spoken language, with each `{name}` in it replaced by its value."""
    said = SAID.get(text, text) if _spoken.get() == "ko" else text
    return said.format(**values) if values else said
