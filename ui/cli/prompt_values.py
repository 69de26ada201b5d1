"""Values for a prompt's variables from the command line: text by the variable's type, files, or an object of all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError

if TYPE_CHECKING:
    from prompts.template import Prompt

STEP = "reading values"
MOST_BYTES = 8 * 2**20
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: _WORDS[text.lower()],
    "string": str,
    "untrusted": str,
}

Name = Annotated[str, typer.Argument(help="A prompt's name, or its file.", show_default=False)]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--folder", metavar="PATH", help="Look here first; can be given several times."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A variable's value; lists and objects are written as JSON."),
]
SetFile = Annotated[
    list[str] | None,
    typer.Option("--set-file", metavar="NAME=PATH", help="A variable's value from a file; - is standard input."),
]
Values = Annotated[
    Path | None, typer.Option("--values", metavar="FILE", help="A JSON object of values; --set takes precedence.")
]
UseExample = Annotated[
    bool, typer.Option("--example", help="The examples in the prompt's file for what is not given otherwise.")
]


def values_for(
    prompt: Prompt, given: Sequence[str], files: Sequence[str], all_from: Path | None, example: bool
) -> dict[str, Any]:
    """What the command line gives a prompt's variables, by name.

    Raises:
        UsageError: a value that cannot be read as its variable's type, or a file that cannot be read.
    """
    from prompts.variables import REQUIRED

    kinds = {variable.name: variable.type for variable in prompt.variables}
    found: dict[str, Any] = {}
    if example:
        found |= {variable.name: variable.example for variable in prompt.variables if variable.example is not REQUIRED}
    if all_from is not None:
        found |= _object(all_from)
    for text, read in [*((text, _same) for text in given), *((text, _file) for text in files)]:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(STEP, f"{text[:80]!r} gives no name and value", "Write NAME=VALUE")
        found[name] = _typed(name, kinds.get(name, "string"), read(value))
    return found


def _typed(name: str, kind: str, text: str) -> Any:
    try:
        return _READ.get(kind, json.loads)(text)
    except (ValueError, KeyError, RecursionError) as error:
        how = "JSON" if kind not in _READ else kind
        raise UsageError(STEP, f"{name} is of type {kind}, and its value is no {how}", f"Write it as {how}") from error


def _same(text: str) -> str:
    return text


def _file(path: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1) if path == "-" else _bytes(Path(path).expanduser())
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(STEP, f"{path} cannot be read as text ({error})", "Give a UTF-8 file") from error
    if len(raw) > MOST_BYTES:
        raise UsageError(STEP, f"{path} is larger than {MOST_BYTES // 2**20} MiB", "Give a shorter text")
    return text


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_file(str(path)))
    except (ValueError, RecursionError) as error:
        raise UsageError(STEP, f"{path} is no JSON ({error})", "Give an object of values") from error
    if not isinstance(value, dict):
        raise UsageError(STEP, f"{path} holds no object", "Give an object of values")
    return value
