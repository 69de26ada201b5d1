"""Long-term memory: what an agent is to know of a user beyond one conversation, kept in Qdrant through `rag`.

Memories of all users may share one index; each is labelled with its tenant and its one reader, and searches run under
`rag`'s access filter, inside the engine's query. What is recalled is untrusted, since it may repeat what a web page
once said.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, TypeVar

from agents.tool import Tool
from decoder.errors import UsageError

if TYPE_CHECKING:
    from rag.embed import Embedder
    from rag.knowledge import KnowledgeBase
    from rag.manifest import DocumentEntry
    from rag.store import Store

T = TypeVar("T")
STEP = "remembering"
LONGEST = 2000
"""Characters of one memory."""
PATIENCE = 15.0
"""Seconds to wait for another process that writes the index."""
PREFIX = "memory/"


@dataclass(frozen=True, slots=True)
class Memory:
    """Something remembered.

    Attributes:
        id: names it for `forget`; the same words of the same user have the same.
        at: seconds since 1970 when it was remembered last.
        score: how well it fits what was asked, higher is better; 0 where nothing was asked.
    """

    id: str
    text: str
    at: float
    score: float = 0.0


class LongTermMemory:
    """What is remembered for one user. Everything is on the disk when `remember` returns, and outlives the process.

    Args:
        user: whose memory it is: no white space or commas.
        tenant: the user's organisation, where there are several.
        name: of the index, which users share.
        home: the folder that holds indexes; the settings' own when None.
        embedder, store: in place of the settings' own.

    Raises:
        UsageError: a name cannot be one.
    """

    def __init__(
        self,
        user: str,
        *,
        tenant: str = "",
        name: str = "memory",
        home: str | PathLike[str] | None = None,
        embedder: Embedder | None = None,
        store: Store | None = None,
    ) -> None:
        from rag.filters import Access
        from rag.knowledge import KnowledgeBase

        if not user:
            raise UsageError(STEP, "it is nobody's memory", "Say whose it is")
        self._reader = f"user:{user}"
        self.access = Access(tenant, (self._reader,))
        self._all = KnowledgeBase(name, home=home, embedder=embedder, store=store)
        self._writing = threading.Lock()

    @cached_property
    def _mine(self) -> KnowledgeBase:
        """The same index, as this user may see it."""
        from rag.knowledge import KnowledgeBase

        return KnowledgeBase(self._all.name, embedder=self._all.embedder, store=self._all.store, access=self.access)

    def remember(self, text: str) -> str:
        """Keep a text and give its id. What is known already is not kept twice.

        Raises:
            UsageError: the text is blank or longer than LONGEST characters.
            IndexLocked: another process wrote the index for longer than PATIENCE seconds.
            StoreFailed: it cannot be written.
        """
        from rag.labels import Labels
        from rag.types import Document

        text = text.strip()
        if not text or len(text) > LONGEST:
            raise UsageError(STEP, f"a memory has 1 to {LONGEST} characters, not {len(text)}", "Say it shorter")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = hashlib.sha256(f"{self.access.tenant}\n{self._reader}\n{digest}".encode()).hexdigest()[:24]
        document = Document(PREFIX + known, text, digest, "text/plain")
        labels = Labels(self.access.tenant, (self._reader,), {"remembered": time.time()})
        with self._writing:
            _patiently(lambda: self._all.add_documents([document], labels=labels))
        return known

    def recall(self, query: str, limit: int = 5) -> list[Memory]:
        """The memories that fit the query best. Raises UsageError for a blank query, StoreFailed."""
        from rag.errors import IndexNotFound

        try:
            hits = self._mine.search(query, limit * 2)
        except IndexNotFound:
            return []
        known = self._entries()
        found: dict[str, Memory] = {}
        for hit in hits:
            entry = known.get(hit.passage.source)
            if entry is not None and hit.passage.source not in found:
                found[hit.passage.source] = self._memory(hit.passage.source, entry, hit.score)
        return list(found.values())[:limit]

    def everything(self) -> list[Memory]:
        """All that is remembered, the newest first."""
        memories = [self._memory(source, entry) for source, entry in self._entries().items()]
        return sorted(memories, key=lambda memory: memory.at, reverse=True)

    def forget(self, memory_id: str) -> None:
        """Take a memory out of the index and of its texts.

        Raises:
            UsageError: this user has no such memory, whoever else may.
            IndexLocked, StoreFailed: as `remember`.
        """
        source = PREFIX + memory_id
        with self._writing:
            if source not in self._entries():
                raise UsageError("forgetting", f"no memory is called {memory_id[:40]!r}", "Recall shows the ids")
            _patiently(lambda: self._all.remove(source))

    def tools(self) -> tuple[Tool, Tool, Tool]:
        """For an agent: `remember` and `forget`, which write, and `recall`, whose results are untrusted."""
        text, query = _one("text", "One fact, in a sentence that can be understood alone."), _one("query", "")
        memory = _one("memory_id", "The id, as recall shows it.")
        return (
            Tool(
                "remember", "Keep a fact about the user for later conversations.", text,
                lambda text: f"Remembered as {self.remember(text)}.", _reads("text"), "write",
                trusted=True, idempotent=True,
            ),
            Tool(
                "recall", "Look up what is remembered about the user.", query,
                lambda query: [_shown(memory) for memory in self.recall(query)], _reads("query"), "read",
            ),
            Tool(
                "forget", "Forget one memory.", memory,
                self._forgotten, _reads("memory_id"), "write", trusted=True,
            ),
        )  # fmt: skip

    def _forgotten(self, memory_id: str) -> str:
        self.forget(memory_id)
        return "Forgotten."

    def close(self) -> None:
        """Let go of the index. Idempotent."""
        self._all.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entries(self) -> Mapping[str, DocumentEntry]:
        return {source: entry for source, entry in self._mine.documents().items() if source.startswith(PREFIX)}

    def _memory(self, source: str, entry: DocumentEntry, score: float = 0.0) -> Memory:
        at = entry.metadata.get("remembered", 0.0)
        text = self._mine.store.text(source)
        return Memory(source.removeprefix(PREFIX), text, at if isinstance(at, float) else 0.0, score)


def _patiently(write: Callable[[], T]) -> T:
    """Wait for another writer for a while, then do it."""
    from rag.errors import IndexLocked

    until, pause = time.monotonic() + PATIENCE, 0.02
    while True:
        try:
            return write()
        except IndexLocked:
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # spreads retries, guards nothing
        pause = min(2 * pause, 0.5)


def _one(name: str, description: str) -> Mapping[str, Any]:
    """The schema of one text argument."""
    about = {"description": description} if description else {}
    return {
        "type": "object",
        "properties": {name: {"type": "string", **about}},
        "required": [name],
        "additionalProperties": False,
    }


def _reads(name: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def validate(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        value = arguments.get(name)
        if set(arguments) != {name} or not isinstance(value, str) or not value.strip():
            raise ValueError(f'it takes {{"{name}": "text"}}')
        return {name: value}

    return validate


def _shown(memory: Memory) -> dict[str, str]:
    return {"id": memory.id, "text": memory.text, "remembered": time.strftime("%Y-%m-%d", time.gmtime(memory.at))}
