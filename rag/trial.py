"""A setting that is measured: options of search and answer under a name, checked, and put to work.

The one place where evaluation meets the options of `KnowledgeBase`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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

STEP = "reading a setting"
DEFAULT = "default"
OPTIONS: Mapping[str, type] = {"limit": int, "pool": int, "decoder": bool}
"""What a setting may say, and the kind of each value."""
_TRUTH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """Options under a name; those that are not given keep the knowledge base's own values."""

    name: str = DEFAULT
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


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
        raise UsageError(
            STEP, f"{path} cannot be read: {error}", "Give a file with lines such as limit = 20"
        ) from error


def _checked(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            raise UsageError(STEP, f"{name!r} is no option", f"Known: {', '.join(near or OPTIONS)}")
        if name in found:
            raise UsageError(STEP, f"{name} is given twice", "Give it once")
        found[name] = _value(name, value)
    return found


def _value(name: str, value: Any) -> Any:
    kind: Any = OPTIONS[name]
    if isinstance(value, str) and kind is not str:
        with suppress(KeyError, ValueError):  # said below
            value = _TRUTH[value.lower()] if kind is bool else kind(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is int and value < 1):
        expected = {bool: "on or off", int: "a whole number from 1", float: "a number", str: "a text"}[kind]
        raise UsageError(STEP, f"{name}={str(value)[:40]!r} is not {expected}", "Mend it")
    return value


class Trial:
    """A knowledge base under a setting. It shares the base's models and index, and must not outlive it."""

    def __init__(self, base: KnowledgeBase, setting: Setting) -> None:
        self.setting = setting
        wanted = setting.options.get("decoder", True)
        if wanted and base.decoder is None and "decoder" in setting.options:
            remedy = "Start one, name one, or leave the option out"
            raise UsageError("choosing a decoder", f"the setting {setting.name} wants one and there is none", remedy)
        self._base = _Tuned(base, base.decoder if wanted else None, setting)

    @property
    def decoder(self) -> Decoder | None:
        """What writes the answers."""
        return self._base.decoder

    def search(self, question: Question, depth: int) -> Sequence[Hit]:
        """The `depth` best passages."""
        return self._base.narrowed(question.where).search(question.question, depth)

    def ask(self, question: Question) -> Answer:
        """The checked answer."""
        return self._base.narrowed(question.where).ask(question.question)


class _Tuned(KnowledgeBase):
    """The same knowledge with other options."""

    def __init__(
        self, base: KnowledgeBase, decoder: Decoder | None, setting: Setting, where: Where | None = None
    ) -> None:
        from rag.retrieve import POOL, Search

        options = setting.options
        search = Search(options.get("limit", rag_settings().limit), options.get("pool", POOL), where)
        super().__init__(
            base.name,
            decoder=decoder,
            embedder=base.embedder,
            store=base.store,
            access=base.access,
            reranker=base.reranker,
            options=search,
        )
        self._setting = setting

    def narrowed(self, where: Where) -> _Tuned:
        """What a question may see."""
        return _Tuned(self, self.decoder, self._setting, where) if where else self
