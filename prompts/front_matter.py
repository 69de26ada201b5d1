"""A prompt's file: YAML front matter between two lines `---`, then a template in sections.

    ---
    name: greeting
    version: "1"
    purpose: Greets a person.
    variables:
      person: {type: string, description: Who is greeted., example: Ann}
    sampling: {temperature: 0.7, max_tokens: 60}
    ---
    ## system
    You are polite.

    ## user
    Greet {{ person }}.

A line `## system`, `## user` or `## assistant` begins a turn of that role, `## insert NAME` is the place of a
variable of type messages or examples, and `\\## user` is the text `## user`. Blank lines around a turn's text are
dropped. Every error says the line. YAML is read as plain data, without aliases, tags or repeated keys.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from decoder.errors import UsageError
from decoder.types import Sampling
from decoder.yaml_data import BadYaml, Entry, read_yaml
from prompts.errors import MalformedPrompt, WrongType
from prompts.template import NAME, Prompt
from prompts.turns import Insert, Turn
from prompts.variables import REQUIRED, TYPES, Variable, checked

MOST_BYTES = 256 * 1024
MOST_FRONT_MATTER = 32 * 1024
FENCE = "---"
ROLES = ("system", "user", "assistant")
_KEYS = ("name", "version", "purpose", "variables", "output", "sampling")
_VARIABLE_KEYS = ("type", "default", "description", "stable", "example")
_SAMPLING: dict[str, tuple[type, ...]] = {
    "temperature": (int, float), "top_p": (int, float), "top_k": (int,), "min_p": (int, float), "n": (int,),
    "seed": (int,), "stop": (tuple,), "max_tokens": (int,), "presence_penalty": (int, float),
    "frequency_penalty": (int, float), "repetition_penalty": (int, float), "logprobs": (int,),
}  # fmt: skip
_SECTION = re.compile(r"##[ \t]+(\S+)(?:[ \t]+(\S+))?[ \t]*")
_ESCAPED = re.compile(r"\\+##[ \t]+(?:system|user|assistant|insert)\b")


def parse(text: str, source: str) -> Prompt:
    """A prompt from the text of its file.

    Args:
        source: the file's name, for errors.

    Raises:
        MalformedPrompt: the file cannot be used; says where and why.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise MalformedPrompt(source, 1, f"it is larger than {MOST_BYTES // 1024} KiB", "Give long texts as values")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), 0)
    if lines[0].rstrip() != FENCE or not end:
        raise MalformedPrompt(source, 1, "there is no front matter", f"Begin with YAML between two lines {FENCE}")
    front = _Reader(source).prompt("\n".join(lines[1:end]))
    messages = tuple(_sections(lines, end + 1, source))
    return Prompt(**front, messages=messages, source=source)


class _Reader:
    """Front matter to the arguments of `Prompt`; keeps the file's name for errors."""

    def __init__(self, source: str) -> None:
        self._source = source

    def refuse(self, entry: Entry | None, reason: str, remedy: str = "") -> NoReturn:
        # The front matter begins on the file's second line.
        raise MalformedPrompt(self._source, entry.line + 1 if entry else 1, reason, remedy)

    def prompt(self, text: str) -> dict[str, Any]:
        if len(text) > MOST_FRONT_MATTER:
            self.refuse(None, f"the front matter is longer than {MOST_FRONT_MATTER // 1024} KiB", "Shorten it")
        try:
            fields = self.mapping(read_yaml(text), "the front matter", _KEYS)
        except BadYaml as error:
            raise MalformedPrompt(self._source, error.line + 1, error.reason) from error
        name = self.text(fields.get("name"), "name")
        if not NAME.fullmatch(name):
            self.refuse(fields.get("name"), f"{name!r} cannot name a prompt", "Use small letters, digits and hyphens")
        return {
            "name": name,
            "version": self.version(fields.get("version")),
            "purpose": self.text(fields.get("purpose"), "purpose"),
            "variables": self.variables(fields.get("variables")),
            "schema": self.schema(fields.get("output")),
            "sampling": self.sampling(fields.get("sampling")),
        }

    def mapping(self, entry: Entry, what: str, keys: tuple[str, ...] = ()) -> dict[str, Entry]:
        if not isinstance(entry.value, dict):
            self.refuse(entry, f"{what} is not a mapping", "Write key: value lines")
        for key, item in entry.value.items():
            if keys and key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                self.refuse(item, f"{what} has the unknown key {key!r}", f"Known: {', '.join(near or keys)}")
        return entry.value

    def text(self, entry: Entry | None, what: str) -> str:
        value = entry.plain() if entry else None
        if not isinstance(value, str) or not value.strip():
            self.refuse(entry, f"{what} is missing or no text", f"Write {what}: …")
        return " ".join(value.split())

    def version(self, entry: Entry | None) -> str:
        if entry is not None and type(entry.value) is int:
            return str(entry.value)
        if entry is not None and isinstance(entry.value, float):
            self.refuse(entry, "version is a number with a point, where 1.10 would be 1.1", 'Quote it: "1.0"')
        return self.text(entry, "version")

    def variables(self, entry: Entry | None) -> tuple[Variable, ...]:
        declared = self.mapping(entry, "variables") if entry is not None and entry.value is not None else {}
        return tuple(self.variable(name, item) for name, item in declared.items())

    def variable(self, name: str, entry: Entry) -> Variable:
        fields = self.mapping(entry, f"the variable {name}", _VARIABLE_KEYS)
        kind: Any = fields["type"].value if "type" in fields else "string"
        if kind not in TYPES:
            self.refuse(fields["type"], f"{kind!r} is no type", f"Types: {', '.join(TYPES)}")
        stable = fields["stable"].value if "stable" in fields else False
        if not isinstance(stable, bool):
            self.refuse(fields["stable"], "stable is neither true nor false")
        description = self.text(fields["description"], "description") if "description" in fields else ""
        values = {key: fields[key].plain() if key in fields else REQUIRED for key in ("default", "example")}
        variable = Variable(name, kind, values["default"], description, stable, values["example"])
        for key, value in values.items():
            if value is REQUIRED or (value is None and key == "default"):
                continue
            try:
                checked(variable, value)
            except WrongType as error:
                self.refuse(fields[key], f"{key} of {error.cause}")
        return variable

    def schema(self, entry: Entry | None) -> Mapping[str, Any] | None:
        if entry is None or entry.value is None:
            return None
        self.mapping(entry, "output")
        schema: dict[str, Any] = entry.plain()
        return schema

    def sampling(self, entry: Entry | None) -> Sampling:
        if entry is None or entry.value is None:
            return Sampling()
        fields = self.mapping(entry, "sampling", tuple(_SAMPLING))
        values: dict[str, Any] = {key: item.plain() for key, item in fields.items()}
        for key, value in values.items():
            if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
                values[key] = tuple(value)
            if not isinstance(values[key], _SAMPLING[key]) or isinstance(value, bool):
                self.refuse(fields[key], f"{key} has no value of its type")
        try:
            return Sampling(**values)
        except UsageError as error:
            self.refuse(entry, error.cause, error.remedy)


def _sections(lines: list[str], start: int, source: str) -> list[Turn | Insert]:
    found: list[tuple[int, Turn | Insert | None, list[str]]] = [(start, None, [])]
    for at, line in enumerate(lines[start:], start):
        if (opened := _opened(line, at + 1, source)) is not None:
            found.append((at + 1, opened, []))
        else:
            found[-1][2].append(line[1:] if _ESCAPED.match(line) else line)
    parts: list[Turn | Insert] = []
    for at, part, content in found:
        blank = next((n for n, line in enumerate(content) if line.strip()), len(content))
        text = "\n".join(content[blank:]).rstrip()
        if text and not isinstance(part, Turn):
            what = "before the first section" if part is None else "under an insert"
            raise MalformedPrompt(source, at + blank + 1, f"there is text {what}", "Begin a turn: ## user")
        if part is not None:
            parts.append(replace(part, text=text, line=at + blank + 1) if isinstance(part, Turn) else part)
    return parts


def _opened(line: str, number: int, source: str) -> Turn | Insert | None:
    match = _SECTION.fullmatch(line)
    if match is None:
        return None
    word: Any
    word, rest = match.groups()
    if word == "insert" and rest:
        return Insert(rest, number)
    if word in ROLES and not rest:
        return Turn(word, "", line=number)
    if not rest and (near := difflib.get_close_matches(word.lower(), ROLES, 1, 0.8)):
        raise MalformedPrompt(source, number, f"{line.strip()!r} begins no turn", f"Did you mean ## {near[0]}?")
    return None
