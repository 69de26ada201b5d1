"""A setting that is measured: options of search and answer under a name, checked, and put to work.

The one place where evaluation meets the options of `KnowledgeBase`: whatever `Search` has as a number, a text or a
choice is an option here, under the same name.
"""

from __future__ import annotations

import difflib
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from rag.knowledge import KnowledgeBase
from rag.questions import Question
from rag.settings import rag_settings
from rag.types import Answer, Hit

if TYPE_CHECKING:
    from decoder.base import Decoder
    from rag.filters import Where
    from rag.retrieve import Search

STEP = "reading a setting"
DEFAULT = "default"
_TRUTH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_EXPECTED = {bool: "on or off", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Options under a name; those that are not given keep the knowledge base's own values."""

    name: str = DEFAULT
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


def known_options() -> dict[str, type | tuple[str, ...]]:
    """What a setting may say: by name the kind of its value, or the values that there are."""
    from rag.retrieve import Search

    found: dict[str, type | tuple[str, ...]] = {"decoder": bool, "parents": bool, "reranker": str}
    for name, hint in typing.get_type_hints(Search).items():
        kinds = [part for part in (typing.get_args(hint) or (hint,)) if part is not type(None)]
        if typing.get_origin(hint) is typing.Literal:
            found[name] = tuple(kinds)
        elif len(kinds) == 1 and kinds[0] in _EXPECTED:
            found[name] = kinds[0]
    return found


def parse_setting(text: str) -> Setting:
    """A setting from "limit=20,decoder=off", from the name of a TOML file with such keys, or from "default".

    Raises:
        UsageError: the file cannot be read, an option is unknown, or a value has the wrong kind.
    """
    if text.strip() in ("", DEFAULT):
        return Setting()
    if text.endswith(".toml"):
        return Setting(Path(text).stem, _checked(_table(Path(text)).items()))
    pairs = [part.partition("=") for part in text.split(",")]
    for name, sign, _ in pairs:
        if not sign:
            raise UsageError(STEP, f"{name.strip()!r} is no option with a value", "Write key=value,key=value")
    return Setting(text, _checked((name.strip(), value.strip()) for name, _, value in pairs))


def _table(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        remedy = "Give a file with lines such as limit = 20"
        raise UsageError(STEP, f"{path} cannot be read: {error}", remedy) from error


def _checked(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    kinds, found = known_options(), {}
    for name, value in pairs:
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, 1)
            raise UsageError(STEP, f"{name!r} is no option", f"Known: {', '.join(near or kinds)}")
        if name in found:
            raise UsageError(STEP, f"{name} is given twice", "Give it once")
        found[name] = _value(name, value, kinds[name])
    _search(found)  # raises for numbers out of range
    return found


def _value(name: str, value: Any, kind: Any) -> Any:
    if isinstance(kind, tuple):
        if value not in kind:
            raise UsageError(STEP, f"{name}={str(value)[:40]!r} is none of {', '.join(kind)}", "Choose one of these")
        return value
    if isinstance(value, str) and kind is not str:
        with suppress(KeyError, ValueError):  # said below
            value = _TRUTH[value.lower()] if kind is bool else kind(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise UsageError(STEP, f"{name}={str(value)[:40]!r} is not {_EXPECTED[kind]}", "Correct it")
    return value


def _search(options: Mapping[str, Any]) -> Search:
    """The settings' way to search with `options` in place of what they name."""
    from rag.parents import Parents
    from rag.rerank import CrossEncoderReranker
    from rag.retrieve import Search

    settings = rag_settings()
    plain = {name: value for name, value in options.items() if name not in ("decoder", "parents", "reranker")}
    if "parents" in options:
        plain["parents"] = Parents() if options["parents"] else None
    if options.get("reranker"):
        plain["reranker"] = CrossEncoderReranker(options["reranker"])
    return replace(Search(settings.limit, settings.pool), **plain)


class Trial:
    """A knowledge base under a setting. It shares the base's models and index, and must not outlive it."""

    def __init__(self, base: KnowledgeBase, setting: Setting) -> None:
        self.setting, self._base, self.decoder = setting, base, _decoder(base, setting)
        self._options = _search(setting.options)

    def search(self, question: Question, depth: int) -> Sequence[Hit]:
        """The `depth` best passages."""
        return self._narrowed(question.where).search(question.question, depth)

    def ask(self, question: Question) -> Answer:
        """The checked answer."""
        return self._narrowed(question.where).ask(question.question)

    def _narrowed(self, where: Where) -> KnowledgeBase:
        """The same knowledge under the setting, with what the question may see."""
        base = self._base
        return KnowledgeBase(
            base.name,
            decoder=self.decoder,
            embedder=base.embedder,
            store=base.store,
            access=base.access,
            reranker=base.reranker,
            options=replace(self._options, where=where or self._options.where),
        )


def _decoder(base: KnowledgeBase, setting: Setting) -> Decoder | None:
    wanted = setting.options.get("decoder", True)
    if wanted and base.decoder is None and "decoder" in setting.options:
        remedy = "Start one, name one, or leave the option out"
        raise UsageError("choosing a decoder", f"the setting {setting.name} wants one and there is none", remedy)
    return base.decoder if wanted else None
