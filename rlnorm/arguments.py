"""How the words of a command line are read: numbers as people write them, and every error as one sentence."""

import ast
import contextlib
import functools
import io
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from rlnorm.errors import ConfigError, unknown


def whole(text: str) -> int:
    """A whole number, also as 1e5 or 100_000. Raises ValueError for any other text."""
    try:
        number = float(text.replace("_", ""))
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"expected a whole number such as 16 or 1e5, got {text!r}") from None
    return int(number)


def setting(text: str) -> tuple[str, Any]:
    """`name=value` -> both: numbers, lists such as 64,64, true, false and none are read, anything else is a string.

    Raises ConfigError for a text without a name or a value.
    """
    name, sign, value = (piece.strip() for piece in text.partition("="))
    if not name or not sign or not value:
        raise ConfigError(f"--option {text!r} cannot be read; expected name=value, such as discount=0.98.")
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return name, words[value.lower()]
    with contextlib.suppress(ValueError):
        return name, whole(value)
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def with_question(words: Sequence[str]) -> list[str]:
    """The words of `train FILE.toml ...` with the question in the file's place; any other words as they are.

    Each key of the file is an option, lists are joined by commas, and a table `option` holds settings of the engine.
    What is typed after the file counts more. Raises ConfigError for a file that cannot be read.
    """
    if len(words) < 2 or words[0] != "train" or not words[1].endswith(".toml"):
        return list(words)
    try:
        asked = tomllib.loads(Path(words[1]).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"the question {words[1]!r} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise ConfigError(f"the question {words[1]!r} is no TOML: {error}.") from None
    settings = asked.pop("option", {})
    if not isinstance(settings, dict):
        raise ConfigError(f"option in {words[1]!r} must be a table of settings, got {settings!r}.")
    joined = {key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in asked.items()}
    found = [word for key, value in joined.items() for word in (f"--{key}", str(value))]
    more = [word for name, value in settings.items() for word in ("--option", f"{name}={value}")]
    return ["train", *found, *more, *words[2:]]


def _spec(none: bool) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: whole(words[0]),
        is_instance=lambda value: isinstance(value, int) or (none and value is None),
        str_from_instance=lambda value: [str(value)],
    )


Whole = Annotated[int, _spec(none=False)]
Count = Annotated[int | None, _spec(none=True)]
"""Read as they are and checked by us: every error in one sentence, all at once."""


class App:
    """Commands of one program: reading the words comes first, doing what they ask for after it.

    epilogue  what the program's help ends with
    """

    def __init__(self, epilogue: str) -> None:
        self._app, self.names, self._epilogue = tyro.extras.SubcommandApp(), list[str](), epilogue

    def command(self, function: Callable[..., None] | None = None, *, name: str | None = None) -> Any:
        """Decorator for the function of a command."""
        if function is None:
            return functools.partial(self.command, name=name)
        called = name or function.__name__
        self.names.append(called)

        # tyro reads the options of `function` from it, and reading them calls it: what is called must do nothing yet.
        @functools.wraps(function)
        def later(*args: Any, **options: Any) -> Callable[[], None]:
            return functools.partial(function, *args, **options)

        self._app.command(cast(Any, later), name=called)
        return function

    def read(self, words: Sequence[str], prog: str, description: str) -> Callable[[], None]:
        """What `words` ask for, ready to be done. ConfigError for words that ask for nothing; SystemExit after help."""
        if words and not words[0].startswith("-") and words[0] not in self.names:
            raise ConfigError(unknown("command", words[0], self.names))
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                return self._app.cli(prog=prog, description=description, args=words)
        except SystemExit as stop:
            if stop.code:
                raise ConfigError(sentence(said.getvalue(), f"{prog} {words[0]}" if words else prog)) from None
            if words[0] in ("-h", "--help"):
                print(self._epilogue)  # noqa: T201
            raise


def sentence(box: str, command: str) -> str:
    """What tyro says in a box of several lines, as one sentence that names where to read on."""
    # Under its title. Where the terminal speaks no UTF-8, a rule of hyphens stands there and no frame.
    lines = [line.strip("╭╮╰╯│ ") for line in box.strip().splitlines()]
    rules = [i for i, line in enumerate(lines) if re.fullmatch("[─-]{3,}", line)]
    title, rule, *_ = [*([0] if box.startswith("╭") else []), *rules, len(lines), len(lines)]
    told = " ".join(" ".join(lines[title + 1 : rule]).partition("Got errors:")[0].split())
    told = re.sub(r"^Error parsing (\S+): ", r"\1: ", told).removesuffix(".")
    near = re.search(r"^(--[a-z][\w-]*)", "\n".join(lines[rule:]), re.MULTILINE) if "Unrecognized" in told else None
    hint = f" Did you mean {near[1]!r}?" if near else ""
    return f"{told[:1].lower()}{told[1:]}.{hint} See `{command} --help`."
