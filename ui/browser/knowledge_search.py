"""The search box: passages, best first, with what each step of the search gave them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from rag.filters import Where, parse_where
from ui.browser import opened
from ui.browser.knowledge_rows import kind_of
from ui.browser.knowledge_uploads import shown_name
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from rag.explain import Explanation, Reason
    from rag.types import Passage

LIMIT = 5
MOST = 50


def show_search(kb_name: str) -> None:
    """Ask one knowledge base."""
    base = opened.knowledge_base(kb_name)
    documents = base.documents()
    query = st.text_input(
        say("knowledge.query"), key="knowledge-query", placeholder=say("knowledge.query_example"), max_chars=1000
    )
    with st.expander(say("knowledge.filters"), icon=":material/filter_alt:"):
        sources = st.multiselect(
            say("knowledge.only_documents"),
            sorted(documents),
            format_func=shown_name,
            key=f"knowledge-sources-{kb_name}",
        )
        kinds = sorted({entry.media_type for entry in documents.values() if entry.media_type})
        types = st.multiselect(
            say("knowledge.only_kinds"), kinds, format_func=kind_of, key=f"knowledge-kinds-{kb_name}"
        )
        lines = st.text_area(
            say("knowledge.conditions"), key="knowledge-where", height=80, help=say("knowledge.conditions_help")
        )
        limit = st.number_input(say("knowledge.how_many"), 1, MOST, LIMIT, key="knowledge-limit")
    if not query.strip():
        st.caption(say("knowledge.query_help"))
        return
    with problems_shown():
        where = condition(sources, types, lines.splitlines())
        with st.spinner(say("knowledge.searching")):
            found = _found(kb_name, query, int(limit), where)
        _show_found(found)


def condition(sources: Sequence[str], media_types: Sequence[str], lines: Sequence[str]) -> Where:
    """What may be found: of these documents, of these kinds, with these conditions. Raises UsageError."""
    from rag.filters import Condition

    where = parse_where(line for line in lines if line.strip())
    more = [Condition("source", any_of=tuple(sources))] if sources else []
    more += [Condition("media_type", any_of=tuple(media_types))] if media_types else []
    return Where((*where.conditions, *more))


def _found(kb_name: str, query: str, limit: int, where: Where) -> Explanation:
    """The same search of the same generation is not made twice in a row."""
    base = opened.knowledge_base(kb_name)
    base.store.refresh()
    asked: tuple[Any, ...] = (kb_name, base.store.manifest().generation, query, limit, where)
    kept = st.session_state.get("knowledge-found")
    if kept is None or kept[0] != asked:
        kept = (asked, base.explain(query, limit, where=where))
        st.session_state["knowledge-found"] = kept
    found: Explanation = kept[1]
    return found


def _show_found(found: Explanation) -> None:
    if not found.hits:
        st.info(say("knowledge.found_nothing"), icon=":material/search_off:")
        return
    for reason in found.hits:
        with st.container(border=True):
            st.markdown(f"**{reason.rank}. {plain(place(reason.hit.passage))}**")
            if reason.hit.passage.heading:
                st.caption(plain(" › ".join(reason.hit.passage.heading)))
            st.text(reason.hit.passage.text)
            st.caption(plain(" · ".join(scores(reason))))
            st.caption(plain(words(reason)))
    with st.expander(say("knowledge.scores_table")):
        st.dataframe(score_table(found), hide_index=True, width="stretch", alt=say("knowledge.scores_table"))
    st.caption(say("knowledge.scores_help"))


def place(passage: Passage) -> str:
    """Where a passage stands, for people."""
    return passage.location.replace(passage.source, shown_name(passage.source), 1)


def scores(reason: Reason) -> list[str]:
    """By meaning, by words, fused, and by sentences, with the ranks there."""
    said = reason.queries[0]
    by_meaning, by_words = say("knowledge.not_by_meaning"), say("knowledge.not_by_words")
    if said.cosine is not None:
        by_meaning = say("knowledge.by_meaning", score=f"{said.cosine:.3f}", rank=said.dense_rank)
    if said.bm25 is not None:
        by_words = say("knowledge.by_words", score=f"{said.bm25:.2f}", rank=said.sparse_rank)
    parts = [by_meaning, by_words]
    if reason.fused_score is not None:
        parts.append(say("knowledge.fused", score=f"{reason.fused_score:.3f}", rank=reason.fused_rank))
    if reason.ordered_rank is not None:
        parts.append(say("knowledge.by_sentences", rank=reason.ordered_rank))
    return parts


def words(reason: Reason) -> str:
    """Which words of the query the passage holds, and which it does not."""
    said = reason.queries[0]
    there = say("knowledge.words_there", words=", ".join(said.words)) if said.words else say("knowledge.words_none")
    return f"{there} · {say('knowledge.words_missing', words=', '.join(said.missing))}" if said.missing else there


def score_table(found: Explanation) -> dict[str, list[Any]]:
    """All scores and ranks, a passage a row."""
    said = [(reason, reason.queries[0]) for reason in found.hits]
    columns: dict[str, list[Any]] = {
        "rank": [reason.rank for reason, _ in said],
        "place": [place(reason.hit.passage) for reason, _ in said],
        "cosine": [query.cosine for _, query in said],
        "dense_rank": [query.dense_rank for _, query in said],
        "bm25": [query.bm25 for _, query in said],
        "sparse_rank": [query.sparse_rank for _, query in said],
        "fused": [reason.fused_score for reason, _ in said],
        "fused_rank": [reason.fused_rank for reason, _ in said],
        "sentence_rank": [reason.ordered_rank for reason, _ in said],
    }
    return {say(f"knowledge.score_{name}"): values for name, values in columns.items()}
