"""YAML as plain data with line numbers: no aliases, no tags, no repeated keys, bounded depth.

PyYAML's safe loader reads the syntax and the scalars; the tree is walked here, so that each value keeps its line.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

MOST_DEPTH = 24


class BadYaml(Exception):
    """The text is not the YAML that is taken here.

    Attributes:
        line: from 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its line: a scalar, a list of entries, or a dict of entries."""

    line: int
    value: Any

    def plain(self) -> Any:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return [item.plain() for item in self.value] if isinstance(self.value, list) else self.value


def read_yaml(text: str) -> Entry:
    """One document. Raises BadYaml."""
    import yaml

    try:
        _check_events(yaml, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return Entry(1, None) if node is None else _entry(yaml, yaml.constructor.SafeConstructor(), node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(mark.line + 1 if mark else 1, f"it is no YAML ({error.problem})") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadYaml(line, f"it is no YAML (the character {error.character!r} is not allowed)") from error


def _check_events(yaml: Any, text: str) -> None:
    """Before any tree is built: what nests too deep or refers back is refused here."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadYaml(line, "anchors and aliases are not taken")
        if getattr(event, "tag", None):
            raise BadYaml(line, "tags are not taken")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise BadYaml(line, f"it is nested deeper than {MOST_DEPTH}")


def _entry(yaml: Any, constructor: Any, node: Any) -> Entry:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        items: dict[str, Entry] = {}
        for key, value in node.value:
            name = _scalar(constructor, key)
            if not isinstance(name, str):
                raise BadYaml(key.start_mark.line + 1, f"the key {name!r} is no text")
            if name in items:
                raise BadYaml(key.start_mark.line + 1, f"the key {name!r} is repeated")
            items[name] = _entry(yaml, constructor, value)
        return Entry(line, items)
    if isinstance(node, yaml.SequenceNode):
        return Entry(line, [_entry(yaml, constructor, item) for item in node.value])
    return Entry(line, _scalar(constructor, node))


def _scalar(constructor: Any, node: Any) -> Any:
    line = node.start_mark.line + 1
    if not isinstance(node.value, str):
        raise BadYaml(line, "a key is a list or a mapping")
    try:
        value = constructor.construct_object(node)
    except (ValueError, OverflowError) as error:
        raise BadYaml(line, f"{node.value[:40]!r} is no value ({error})") from error
    if isinstance(value, (datetime.date, bytes)):
        raise BadYaml(line, f"{node.value[:40]!r} is a date or bytes; quote it to make it text")
    return value
