"""Bad input, said in one clear sentence each and all at once."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path


class ConfigError(ValueError):
    """One or more errors of a configuration, found before anything ran.

    `sentences` holds one sentence per error; the command line prints them and exits with code 2.
    """

    def __init__(self, *sentences: str):
        super().__init__("\n".join(sentences))
        self.sentences = sentences


def raise_if_any(sentences: Iterable[str]) -> None:
    """Raise one ConfigError that holds every sentence, if there is any."""
    found = tuple(sentences)
    if found:
        raise ConfigError(*found)


def unknown(kind: str, got: object, valid: Iterable[str], expected: str | None = None) -> str:
    """The sentence for a name that is none: what was got, the nearest valid name, and what was expected.

    `expected` says it in words where listing all of `valid` would not help.
    """
    names: Sequence[str] = sorted(valid)
    near = get_close_matches(str(got), names, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = map(repr, names) if any("," in name for name in names) else names
    return f"unknown {kind} {got!r}.{hint} Expected {expected or 'one of: ' + ', '.join(listed)}."


def too_few(counts: Mapping[str, int]) -> Iterator[str]:
    """The sentence for each named count that is below 1."""
    for name, value in counts.items():
        if value < 1:
            yield f"{name} must be at least 1, got {value}."


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def unwritable(what: str, name: str, folder: Path) -> Iterator[str]:
    """The sentence if `what` cannot be written under `folder`, which was given as `name`."""
    there = existing(folder)
    if not there.is_dir():
        yield f"cannot write {what} to {name} {str(folder)!r}: {str(there)!r} is a file, not a folder."
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"cannot write {what} to {name} {str(folder)!r}: no permission in {str(there)!r}."


def unwritable_file(what: str, name: str, path: Path) -> Iterator[str]:
    """The sentence if `what` cannot be written to the file `path`, given as `name`, whose folder has to be there."""
    if path.is_dir():
        yield f"cannot write {what} to {name} {str(path)!r}: it is a folder; expected a file's name."
    elif not path.parent.exists():
        yield f"cannot write {what} to {name} {str(path)!r}: there is no folder {str(path.parent)!r}."
    else:
        yield from unwritable(what, name, path.parent)
