"""A person's own prompts: files in a folder of theirs, under names that the loader accepts.

Without sign-in the folder is `home()/prompts`, where `hearth prompt` looks too; where people sign in, everybody has
one below it.
"""

from __future__ import annotations

import re
from pathlib import Path

from decoder.errors import ServiceError, UsageError
from decoder.runs.record import write_whole
from decoder.settings import home
from prompts.folders import LIBRARY, Library, library
from prompts.front_matter import MOST_BYTES, parse
from prompts.template import NAME, Prompt

STEP = "saving a prompt"
_NAME_LINE = re.compile(r"(?m)\A(---[ \t]*\n(?:.*\n)*?)name:.*$")


def folder(prefix: str) -> Path:
    """Where the prompts of a person are; `prefix` is `Person.prefix`."""
    below = prefix.strip("-")
    return home() / "prompts" / below if below else home() / "prompts"


def known(prefix: str) -> Library:
    """All prompts that a person can use, their own first."""
    return library([folder(prefix)])


def is_own(prefix: str, name: str) -> bool:
    """Whether it is a file of theirs."""
    return NAME.fullmatch(name) is not None and _file(prefix, name).is_file()


def text_of(prefix: str, name: str) -> str:
    """The file of a prompt as it is. Raises PromptNotFound, ServiceError."""
    path = known(prefix).path(name)
    try:
        return path.read_bytes()[: MOST_BYTES + 1].decode("utf-8", "replace")
    except OSError as error:
        raise ServiceError("reading a prompt", f"{name}: {error.strerror}", "Look at its permissions") from error


def as_copy(text: str, name: str) -> str:
    """The text of a prompt's file under another name."""
    return _NAME_LINE.sub(rf"\g<1>name: {name}", text, count=1)


def free_name(prefix: str, name: str) -> str:
    """A name for a copy that nothing has yet."""
    taken = set(known(prefix))
    numbered = (f"{name[:56]}-mine{number or ''}" for number in range(len(taken) + 1))
    return next(each for each in numbered if each not in taken)


def save(prefix: str, text: str, replaces: str = "") -> Prompt:
    """Keep a prompt under the name in its text, after the loader has read it.

    Args:
        replaces: the own prompt that was edited; only this one may be written over.

    Raises:
        MalformedPrompt: the loader cannot read it; says the line.
        UsageError: the name is taken.
        ServiceError: it cannot be written.
    """
    prompt = parse(text, "this text")
    if (LIBRARY / f"{prompt.name}.md").is_file():
        raise UsageError(STEP, f"{prompt.name} is the name of a library prompt", "Give it another name")
    file = _file(prefix, prompt.name)
    if file.exists() and prompt.name != replaces:
        raise UsageError(STEP, f"you have a prompt named {prompt.name} already", "Give it another name")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServiceError(STEP, str(error), "Mend HEARTH_HOME") from error
    write_whole(file, text.replace("\r\n", "\n"), STEP)
    return prompt


def delete(prefix: str, name: str) -> None:
    """Remove an own prompt. Raises UsageError when it is none."""
    if not is_own(prefix, name):
        raise UsageError("deleting a prompt", "it is none of yours", "It may have been removed")
    _file(prefix, name).unlink(missing_ok=True)


def _file(prefix: str, name: str) -> Path:
    """Raises UsageError for what cannot be a prompt's name, such as one with a slash."""
    if not NAME.fullmatch(name):
        raise UsageError(STEP, "that cannot be a prompt's name", "Use small letters, digits and hyphens")
    return folder(prefix) / f"{name}.md"
