"""A constitution: principles in YAML, read strictly. What is wrong is said with its line."""

from __future__ import annotations

import difflib
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from decoder.errors import RecipeError
from decoder.yaml_data import BadYaml, Entry, read_yaml

FOLDER = Path(__file__).parent / "constitutions"
DEFAULT = FOLDER / "default.yaml"
STEP = "reading the constitution"
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Principle:
    """What answers are held against.

    Attributes:
        id: lower-case letters, digits and `-`.
        principle: in one line, as a judge is told.
        critique: what a critique looks for.
        revision: what a revision does.
    """

    id: str
    principle: str
    critique: str
    revision: str


def load_constitution(path: str | Path = "") -> tuple[Principle, ...]:
    """The principles of a file, in order; without one, of the default constitution.

    Raises:
        RecipeError: it cannot be read, or is no constitution; says the line.
    """
    file = Path(path).expanduser() if path else DEFAULT
    try:
        found = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(STEP, f"{file} cannot be read: {error}", "Give a YAML file of principles") from error
    except BadYaml as error:
        raise _wrong(file, error.line, error.reason) from error
    if not isinstance(found.value, dict) or set(found.value) != {"principles"}:
        raise _wrong(file, found.line, "it has no list `principles`, or other keys beside it")
    listed = found.value["principles"]
    if not isinstance(listed.value, list) or not listed.value:
        raise _wrong(file, listed.line, "principles is no list, or an empty one")
    principles = tuple(_principle(file, entry) for entry in listed.value)
    for number, principle in enumerate(principles):
        if principle.id in {earlier.id for earlier in principles[:number]}:
            raise _wrong(file, listed.value[number].line, f"the id {principle.id} is there twice")
    return principles


def drawn(principles: Sequence[Principle], rounds: int, seed: int) -> tuple[Principle, ...]:
    """One principle a round; none comes twice before all have come."""
    random_order = random.Random(seed)  # noqa: S311  # nothing secret
    order: list[Principle] = []
    while len(order) < rounds:
        order += random_order.sample(principles, len(principles))
    return tuple(order[:rounds])


def seed_of(*parts: object) -> int:
    """A seed below 2**31 for what `parts` name; the same for the same."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).digest()[:4]) >> 1


def _principle(file: Path, entry: Entry) -> Principle:
    known = [field.name for field in fields(Principle)]
    if not isinstance(entry.value, dict):
        raise _wrong(file, entry.line, f"a principle has the keys {', '.join(known)}")
    for key, value in entry.value.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise _wrong(file, value.line, f"the key {key!r} is unknown", f"Did you mean {near[0]}?" if near else "")
        if not isinstance(value.value, str) or not value.value.strip():
            raise _wrong(file, value.line, f"{key} is no text, or an empty one")
        if len(value.value) > MOST_CHARACTERS:
            raise _wrong(file, value.line, f"{key} is longer than {MOST_CHARACTERS} characters")
    for name in known:
        if name not in entry.value:
            raise _wrong(file, entry.line, f"the principle has no {name}")
    texts = {name: entry.value[name].value.strip() for name in known}
    if not ID.fullmatch(texts["id"]):
        raise _wrong(
            file, entry.value["id"].line, f"{texts['id'][:64]!r} is no id", "Use lower-case letters, '-', digits"
        )
    if "\n" in texts["principle"]:
        raise _wrong(file, entry.value["principle"].line, "principle is more than one line")
    return Principle(**texts)


def _wrong(file: Path, line: int, reason: str, remedy: str = "") -> RecipeError:
    return RecipeError(STEP, f"{file}, line {line}: {reason}", remedy or "Mend the line")
