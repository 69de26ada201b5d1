"""`KnowledgeBase`: documents in, checked answers out. Puts index, search and answer together and adds nothing."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

from decoder.base import iterate_sync, run_sync
from decoder.errors import UsageError
from rag.evidence import PASSAGES
from rag.extract import extract
from rag.followup import standalone
from rag.generate import generate
from rag.settings import RagSettings, check_index_name, rag_settings
from rag.support import Support, assess, best_first
from rag.types import Answer, AnswerDelta, Citation, Hit, IndexReport

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message
    from rag.embed import Embedder
    from rag.index import IndexProgress
    from rag.langchain import HearthRetriever
    from rag.llamaindex import HearthNodeRetriever
    from rag.manifest import DocumentEntry
    from rag.store import Store

LINES_AROUND = 3


class KnowledgeBase:
    """What is known under one name. Opening it is cheap: models and files are loaded when they are needed.

    Args:
        name: of its index.
        home: the folder that holds indexes; the settings' own when None.
        decoder: writes the answers; without one they are quoted. It is not closed with the knowledge base.
        embedder, store: in place of the settings' own.

    Raises:
        UsageError: the name cannot be one.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        home: str | PathLike[str] | None = None,
        decoder: Decoder | None = None,
        embedder: Embedder | None = None,
        store: Store | None = None,
    ) -> None:
        self.name, self.decoder = check_index_name(name), decoder
        self._settings = _settings(home)
        self._given_embedder, self._given_store = embedder, store

    @cached_property
    def embedder(self) -> Embedder:
        """What texts are compared by."""
        from rag.embed import SentenceEmbedder

        return self._given_embedder or SentenceEmbedder(self._settings.embedder)

    @cached_property
    def store(self) -> Store:
        """Where passages and texts are kept."""
        from rag.store import open_store

        return self._given_store or open_store(self.name, self._settings)

    @staticmethod
    def list(home: str | PathLike[str] | None = None) -> list[str]:
        """The names of the knowledge bases that there are, sorted."""
        from rag.store import list_indexes

        return list_indexes(_settings(home))

    def add(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        on_progress: Callable[[IndexProgress], None] | None = None,
        *,
        rebuild: bool = False,
    ) -> IndexReport:
        """Index files and folders: new and changed ones are read, deleted ones forgotten, the rest stays.

        Args:
            rebuild: start from nothing; whatever is not in `paths` goes.

        Raises:
            UsageError: a path does not exist, or the index was made otherwise (IndexMismatch).
            StoreFailed: the index cannot be written.
        """
        from rag.index import index

        given = [paths] if isinstance(paths, (str, PathLike)) else paths
        files = [Path(path).expanduser() for path in given]
        for path in files:
            if not path.exists():
                raise UsageError("reading documents", f"{path} does not exist", "Give a file or a folder")
        return index(files, self.store, self.embedder, on_progress, self._settings, rebuild)

    def search(self, query: str, limit: int | None = None, sources: Sequence[str] | None = None) -> builtins.list[Hit]:
        """Passages that fit the query, best first. Raises IndexNotFound before anything was added."""
        chosen = limit or self._settings.limit
        hits, _ = self._find(query, max(chosen, PASSAGES), sources)
        return hits[:chosen]

    def ask(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """The checked answer. Raises UsageError for an empty question, IndexNotFound, DecoderError leaves."""
        return run_sync(self.aask(question, history))

    def stream(self, question: str, history: Sequence[Message] = ()) -> Iterator[AnswerDelta | Answer]:
        """The answer as it is written, not yet checked; then the checked Answer, once, last."""
        return iterate_sync(self.astream(question, history))

    async def aask(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """`ask` for code with an event loop."""
        async with aclosing(self.astream(question, history)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    return part
        raise AssertionError("a stream ended without an answer and without an error")

    async def astream(self, question: str, history: Sequence[Message] = ()) -> AsyncGenerator[AnswerDelta | Answer]:
        """`stream` for code with an event loop."""
        started = time.monotonic()
        hits, support = await asyncio.to_thread(self._find, standalone(question, history), self._settings.limit)
        found = time.monotonic()
        async with aclosing(self._answer(question, hits, support, history)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    now = time.monotonic()
                    timings = {"retrieve": found - started, "answer": now - found, "total": now - started}
                    part = replace(part, timings=timings)
                yield part

    def _find(
        self, question: str, limit: int, sources: Sequence[str] | None = None
    ) -> tuple[builtins.list[Hit], Support]:
        """What was found, in the order that its sentences give it, and how well it supports an answer."""
        from rag.retrieve import retrieve

        hits = retrieve(question, self.store, self.embedder, limit, sources, self._settings.pool)
        support = assess(question, hits, self.embedder)
        return best_first(hits, support), support

    async def _answer(
        self, question: str, hits: Sequence[Hit], support: Support, history: Sequence[Message]
    ) -> AsyncGenerator[AnswerDelta | Answer]:
        if self.decoder is not None:
            async with aclosing(generate(question, hits, support, self.decoder, history)) as parts:
                async for part in parts:
                    yield part
            return
        answer = extract(support, hits)
        yield AnswerDelta(answer.text)
        yield answer

    def documents(self) -> Mapping[str, DocumentEntry]:
        """The documents by source; empty before anything was added."""
        return self.store.manifest().documents if self.store.refresh() else {}

    def open(self, citation: Citation, around: int = LINES_AROUND) -> str:
        """The cited lines with `around` more on either side, numbered. Raises UsageError for an unknown source."""
        self.store.refresh()
        lines = self.store.text(citation.source).split("\n")
        first, last = max(1, citation.line_start - around), min(len(lines), citation.line_end + around)
        width = len(str(last))
        return "\n".join(f"{number:>{width}}  {lines[number - 1]}" for number in range(first, last + 1))

    def remove(self, source: str) -> None:
        """Forget one document; the file stays, and comes back when its folder is added again.

        A file of the same bytes that was kept under this one takes its place.

        Raises:
            UsageError: no document is called so.
            IndexLocked: another process writes the index.
        """
        from rag.store import unknown_source

        known = dict(self.documents())
        if source not in known:
            raise unknown_source(source)
        heirs = [Path(entry.path) for entry in known.values() if entry.duplicate_of == source]
        del known[source]
        with self.store.generation(self.embedder.dimension) as writer:
            writer.delete_source(source)
            writer.commit(replace(self.store.manifest(), documents=known))
        if heirs:
            self.store.refresh()
            self.add(heirs)

    def as_langchain_retriever(self, limit: int | None = None) -> HearthRetriever:
        """This knowledge base as a LangChain `BaseRetriever`. Raises MissingExtra without langchain-core."""
        from rag.langchain import HearthRetriever

        return HearthRetriever(knowledge_base=self, limit=limit)

    def as_llamaindex_retriever(self, limit: int | None = None) -> HearthNodeRetriever:
        """This knowledge base as a LlamaIndex `BaseRetriever`. Raises MissingExtra without llama-index-core."""
        from rag.llamaindex import HearthNodeRetriever

        return HearthNodeRetriever(self, limit)

    def close(self) -> None:
        """Let go of the index. Idempotent."""
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _settings(home: str | PathLike[str] | None) -> RagSettings:
    settings = rag_settings()
    return settings if home is None else replace(settings, index_folder=str(Path(home).expanduser()))
