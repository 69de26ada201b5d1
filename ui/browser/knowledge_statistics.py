"""What a knowledge base is made of, in figures."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import streamlit as st

from rag.settings import index_folder, rag_settings
from ui.browser import opened
from ui.browser.knowledge_list import in_bytes
from ui.browser.knowledge_rows import kind_of
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from rag.knowledge import KnowledgeBase


def show_statistics(kb_name: str) -> None:
    """Documents, passages, sizes, kinds, and how it was made."""
    base = opened.knowledge_base(kb_name)
    if not base.documents():
        st.info(say("knowledge.no_documents"), icon=":material/upload_file:")
        return
    known = facts(base)
    first = st.columns(4)
    for column, name in zip(first, ("documents", "passages", "of_files", "on_disk"), strict=True):
        column.metric(say(f"knowledge.fact_{name}"), known[name])
    st.caption(say("knowledge.made_by", embedder=plain(known["embedder"]), dimension=known["dimension"]))
    st.caption(say("knowledge.cut_to", tokens=known["chunk_tokens"], overlap=known["chunk_overlap"]))
    if known["changed"]:
        st.caption(say("knowledge.changed", when=known["changed"]))
    if known["pending"]:
        st.caption(say("knowledge.pending", n=known["pending"]))
    st.subheader(say("knowledge.kinds"))
    counts = list(known["kinds"].values())
    kinds = {
        say("knowledge.column_kind"): list(known["kinds"]),
        say("knowledge.fact_documents"): [documents for documents, _ in counts],
        say("knowledge.fact_passages"): [passages for _, passages in counts],
    }
    st.dataframe(kinds, hide_index=True, width="stretch", alt=say("knowledge.kinds"))


def facts(base: KnowledgeBase) -> dict[str, Any]:
    """The figures. Raises IndexNotFound, StoreFailed."""
    base.store.refresh()
    manifest, size = base.store.manifest(), base.store.size()
    own = [entry for entry in manifest.documents.values() if not entry.duplicate_of]
    passages: Counter[str] = Counter()
    for entry in own:
        passages[entry.media_type] += entry.passages
    kinds = Counter(entry.media_type for entry in own)
    return {
        "documents": len(manifest.documents),
        "passages": manifest.passages,
        "of_files": in_bytes(sum(entry.size for entry in own if not entry.member_of)),
        "on_disk": "–" if size is None else in_bytes(size),
        "pending": len(manifest.pending),
        "embedder": manifest.embedder,
        "dimension": manifest.dimension,
        "chunk_tokens": manifest.chunk_tokens,
        "chunk_overlap": manifest.chunk_overlap,
        "changed": _changed(base.name),
        "kinds": {kind_of(media): (n, passages[media]) for media, n in kinds.most_common()},
    }


def _changed(kb_name: str) -> str:
    """When its manifest was written; empty where a server keeps it."""
    settings = rag_settings()
    file = index_folder(settings) / kb_name / "manifest.json"
    if settings.store != "edge" or not file.is_file():
        return ""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
