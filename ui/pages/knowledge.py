"""The page "knowledge": documents are added, listed, searched and looked at."""

from __future__ import annotations

import streamlit as st

from ui.browser.entrance import enter
from ui.browser.knowledge_add import show_add, show_new
from ui.browser.knowledge_ask import show_ask
from ui.browser.knowledge_care import show_care
from ui.browser.knowledge_choose import NEW, choose
from ui.browser.knowledge_failures import jobs_of
from ui.browser.knowledge_list import show_documents
from ui.browser.knowledge_map import show_map
from ui.browser.knowledge_names import own_names
from ui.browser.knowledge_progress import show_job
from ui.browser.knowledge_search import show_search
from ui.browser.knowledge_statistics import show_statistics
from ui.browser.person import person
from ui.browser.problems import apart
from ui.browser.strings import say


def show(kb_name: str) -> None:
    """One knowledge base: its documents first, then what can be done with them."""
    writing = any(job.going for job in jobs_of(kb_name, person().id))
    with apart():
        show_job(kb_name)
    if kb_name in own_names():
        show_ask(kb_name)
    documents, search, statistics, chart, care = st.tabs(
        [say(f"knowledge.tab_{name}") for name in ("documents", "search", "statistics", "map", "care")],
        key="knowledge-tab",
        on_change="rerun",
    )
    with documents, apart():
        if documents.open:
            show_add(kb_name, open_at_first=kb_name not in own_names() and not writing)
            show_documents(kb_name, writing)
    with search, apart():
        if search.open:
            show_search(kb_name)
    with statistics, apart():
        if statistics.open:
            show_statistics(kb_name)
    with chart, apart():
        if chart.open:
            show_map(kb_name)
    with care, apart():
        if care.open:
            show_care(kb_name, writing)


enter("knowledge")
st.caption(say("knowledge.what"))
chosen = choose()
if chosen == NEW:
    show_new()
else:
    show(chosen)
