"""`KnowledgeBase`: documents in, checked answers out. Puts index, search and answer together and adds nothing."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

from decoder.base import iterate_sync, run_sync
from decoder.errors import UsageError
from rag.filters import Access, Where
from rag.generate import written_or_quoted
from rag.labels import labels_of
from rag.settings import RagSettings, check_index_name, rag_settings
from rag.support import Support, assess
from rag.types import Answer, AnswerDelta, Citation, Hit, IndexReport

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message, Sampling
    from prompts.template import Prompt
    from rag.embed import Embedder
    from rag.errors import DocumentError
    from rag.explain import Explanation
    from rag.index import IndexProgress, Selection
    from rag.labels import Labels
    from rag.langchain import HearthRetriever
    from rag.llamaindex import HearthNodeRetriever
    from rag.manifest import DocumentEntry, Manifest
    from rag.repair import RepairReport
    from rag.rerank import Reranker
    from rag.retrieve import Search, Steps
    from rag.store import Store
    from rag.types import Document
    from rag.verify import Problem
    from rag.web import Crawl

LINES_AROUND = 3


class KnowledgeBase:
    """What is known under one name. Opening it is cheap: models and files are loaded when they are needed.

    Args:
        name: of its index.
        home: the folder that holds indexes; the settings' own when None.
        decoder: writes the answers; without one they are quoted. It is not closed with the knowledge base.
        embedder, store: in place of the settings' own.
        access: who is asking; searches, documents and texts are those that they may see, and nothing can be changed.
            None is whoever owns it all.
        reranker: reads what was found again with the question.
        options: how to search when a search does not say; the settings' own when None.

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
        access: Access | None = None,
        reranker: Reranker | None = None,
        options: Search | None = None,
    ) -> None:
        self.name, self.decoder = check_index_name(name), decoder
        self.access, self.reranker = access, reranker
        self._settings = _settings(home)
        self._options = options
        self._given_embedder, self._given_store = embedder, store

    @cached_property
    def embedder(self) -> Embedder:
        """What texts are compared by."""
        from rag.embed import open_embedder

        return self._given_embedder or open_embedder(self._settings)

    @cached_property
    def store(self) -> Store:
        """Where passages and texts are kept."""
        from rag.store import open_store

        return self._given_store or open_store(self.name, self._settings)

    @property
    def _owned(self) -> Store:
        """The store, for what concerns the whole of it; raises UsageError when this was opened for somebody."""
        if self.access is not None:
            cause = "it was opened for somebody who may not see or change all of it"
            raise UsageError("looking after the knowledge base", cause, "Open it without `access`")
        return self.store

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
        labels: Labels | None = None,
        selection: Selection | None = None,
    ) -> IndexReport:
        """Index files and folders: new and changed ones are read, deleted ones forgotten, the rest stays.

        Args:
            rebuild: start from nothing; whatever is not in `paths` goes.
            labels: whose documents these are, who may see them, and metadata; None leaves each as it was.
            selection: patterns of files in folders to take or to leave out.

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
        return index(files, self._owned, self.embedder, on_progress, self._settings, rebuild, labels, selection)

    def add_documents(
        self,
        documents: Iterable[Document | DocumentError],
        on_progress: Callable[[IndexProgress], None] | None = None,
        *,
        labels: Labels | None = None,
    ) -> IndexReport:
        """Add documents that are no files, such as fetched pages. Raises IndexMismatch, IndexLocked, StoreFailed."""
        from rag.index import index_documents

        return index_documents(documents, self._owned, self.embedder, on_progress, self._settings, labels)

    def add_urls(
        self,
        urls: Sequence[str],
        on_progress: Callable[[IndexProgress], None] | None = None,
        *,
        sitemap: bool = False,
        crawl: Crawl | None = None,
        labels: Labels | None = None,
    ) -> IndexReport:
        """Fetch pages under guard and index them; those that have not changed since the last time are not read again.

        A page that cannot be fetched is listed in the report, and what was known of it stays.

        Args:
            sitemap: `urls` are sitemaps; their pages are meant.
            crawl: what may be fetched, and how politely.

        Raises:
            IndexMismatch, IndexLocked, StoreFailed: as `add` does.
        """
        from rag.fetch import Validators
        from rag.web import DEFAULT_CRAWL, Unchanged, fetch_documents

        known = {s: Validators(*e.validators) for s, e in self.documents().items() if e.validators}
        unchanged = 0

        def changed() -> Iterator[Document | DocumentError]:
            nonlocal unchanged
            for found in fetch_documents(urls, crawl or DEFAULT_CRAWL, sitemap=sitemap, known=known):
                if isinstance(found, Unchanged):
                    unchanged += 1
                else:
                    yield found

        report = self.add_documents(changed(), on_progress, labels=labels)
        return replace(report, unchanged=report.unchanged + unchanged)

    def search(
        self,
        query: str,
        limit: int | None = None,
        sources: Sequence[str] | None = None,
        *,
        where: Where | None = None,
        options: Search | None = None,
    ) -> builtins.list[Hit]:
        """Passages that fit the query, best first.

        Args:
            limit, sources: at most so many, of these documents only.
            where: what may be found, beside what `options` say.
            options: how to search; `limit` goes before their own.

        Raises:
            IndexNotFound: nothing was added yet.
            UsageError: the query is empty.
        """
        if sources is not None and not sources:
            return []
        return builtins.list(self._steps(query, self._search(limit, sources, where, options)).hits)

    def explain(
        self, query: str, limit: int | None = None, *, where: Where | None = None, options: Search | None = None
    ) -> Explanation:
        """As `search`, with what each step of it gave each hit."""
        from rag.explain import explain

        return explain(self._steps(query, self._search(limit, None, where, options)))

    def _search(
        self,
        limit: int | None = None,
        sources: Sequence[str] | None = None,
        where: Where | None = None,
        options: Search | None = None,
    ) -> Search:
        """The options of one search. Whom this knowledge base was opened for goes before who a search says asks."""
        from rag.retrieve import Search

        base = options or self._options or Search(self._settings.limit, self._settings.pool)
        parts = [part for part in (base.where, where) if part is not None]
        access = self.access or next((part.access for part in reversed(parts) if part.access is not None), None)
        every = Where(tuple(c for part in parts for c in part.conditions), access).and_sources(sources)
        return replace(base, limit=limit or base.limit, where=every, reranker=base.reranker or self.reranker)

    def _steps(self, query: str, search: Search) -> Steps:
        from rag.retrieve import retrieve_steps

        queries = run_sync(self._queries(query, (), search)) if search.rewrite and query.strip() else (query,)
        return retrieve_steps(queries, self.store, self.embedder, search)

    async def _queries(self, question: str, history: Sequence[Message], search: Search) -> tuple[str, ...]:
        from rag.rewrite import rewrite

        return await rewrite(question, history, self.decoder, search.rewrite)

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

    async def astream(
        self,
        question: str,
        history: Sequence[Message] = (),
        *,
        sampling: Sampling | None = None,
        prompt: Prompt | None = None,
    ) -> AsyncGenerator[AnswerDelta | Answer]:
        """`stream` for code with an event loop; `sampling` and `prompt` are for the decoder (`rag.generate`)."""
        started = time.monotonic()
        search = self._search()
        queries = await self._queries(question, history, search)
        hits, support = await asyncio.to_thread(self._find, queries, search)
        found = time.monotonic()
        written = written_or_quoted(question, hits, support, self.decoder, history, sampling=sampling, prompt=prompt)
        async with aclosing(written) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    now = time.monotonic()
                    timings = {"retrieve": found - started, "answer": now - found, "total": now - started}
                    part = replace(part, timings=timings)
                yield part

    def _find(self, queries: Sequence[str], search: Search) -> tuple[builtins.list[Hit], Support]:
        from rag.retrieve import retrieve_steps

        steps = retrieve_steps(queries, self.store, self.embedder, search)
        hits = builtins.list(steps.hits)
        return hits, steps.support or assess(queries[0], hits, self.embedder)

    def documents(self) -> Mapping[str, DocumentEntry]:
        """The documents by source, of those that may be seen; empty before anything was added."""
        everything = self._everything()
        if self.access is None:
            return everything
        may_read = self.access.may_read
        return {source: entry for source, entry in everything.items() if may_read(entry.tenant, entry.readers)}

    def _everything(self) -> Mapping[str, DocumentEntry]:
        return self.store.manifest().documents if self.store.refresh() else {}

    def open(self, citation: Citation, around: int = LINES_AROUND) -> str:
        """The cited lines with `around` more on either side, numbered.

        Raises:
            UsageError: no such document is known, or none that may be seen.
        """
        from rag.store import unknown_source

        if citation.source not in self.documents():
            raise unknown_source(citation.source)
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
        from rag.forget import forget

        entry, heirs = forget(self._owned, source)
        if heirs:
            self.add(heirs, labels=labels_of(entry))

    def verify(self) -> builtins.list[Problem]:
        """Every problem of the index: damaged files, texts, passages, vectors. Raises IndexNotFound, StoreFailed."""
        from rag.verify import verify

        return verify(self._owned)

    def repair(self, on_progress: Callable[[IndexProgress], None] | None = None) -> RepairReport:
        """Take out what is damaged and read it again. Raises IndexNotFound, IndexLocked, StoreFailed."""
        from rag.repair import repair

        return repair(self._owned, self.embedder, on_progress, self._settings)

    def export(self, file: str | PathLike[str]) -> Manifest:
        """Write everything to one file, for another machine or another store. Raises UsageError, StoreFailed."""
        from rag.transfer import export_index

        return export_index(self._owned, Path(file).expanduser())

    def import_from(self, file: str | PathLike[str], *, replace: bool = False) -> Manifest:
        """Take everything from an exported file. Raises UsageError when it is damaged, or something is here already."""
        from rag.transfer import import_index

        return import_index(self._owned, Path(file).expanduser(), replace)

    def as_langchain_retriever(self, limit: int | None = None, where: Where | None = None) -> HearthRetriever:
        """This knowledge base as a LangChain `BaseRetriever`. Raises MissingExtra without langchain-core."""
        from rag.langchain import HearthRetriever

        return HearthRetriever(knowledge_base=self, limit=limit, where=where)

    def as_llamaindex_retriever(self, limit: int | None = None, where: Where | None = None) -> HearthNodeRetriever:
        """This knowledge base as a LlamaIndex `BaseRetriever`. Raises MissingExtra without llama-index-core."""
        from rag.llamaindex import HearthNodeRetriever

        return HearthNodeRetriever(self, limit, where)

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
