"""An empty chat: a friendly line, the example documents where there is nothing yet, and questions to begin with."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.browser import chat_models, jobs, knowledge_begin
from ui.browser.chat_here import Here, ask, put, safely
from ui.browser.job_shown import show_end
from ui.browser.jobs import Job
from ui.browser.knowledge_uploads import shown_name
from ui.browser.person import person
from ui.browser.safe_text import plain
from ui.browser.strings import say

MOST_SUGGESTED = 3


def show_first(page: Here) -> None:
    """What an empty chat shows."""
    st.write(say("chat.invitation") if page.kb or chat_models.models().decoder else say("chat.first_run"))
    if page.kb:
        _suggestions(page)
    elif not page.names:
        _example()
        st.page_link(
            str(Path(__file__).parents[1] / "pages" / "knowledge.py"),
            label=say("chat.add_own"),
            icon=":material/upload:",
        )


def _example() -> None:
    job = next(iter(_making()), None)
    if job is not None and job.going:
        _watch()
    elif knowledge_begin.has_example():
        if job is not None:
            show_end(job)
        st.button(
            say("chat.example"),
            key="chat-example",
            icon=":material/auto_stories:",
            type="primary",
            on_click=safely,
            args=(knowledge_begin.read_example,),
        )


def _making() -> list[Job]:
    return [job for job in jobs.every(person().id, "index") if job.spec.get("kb") == _example_kb()]


def _example_kb() -> str:
    return f"{person().prefix}{knowledge_begin.EXAMPLE_NAME}"


@st.fragment(run_every=1.0)
def _watch() -> None:
    """A line as long as the example documents are being read; then the page anew."""
    job = next(iter(_making()), None)
    if job is None or not job.going:
        st.rerun()
    st.caption(say("chat.example_reading"))


def _suggestions(page: Here) -> None:
    for number, question in enumerate(_questions(page), 1):
        st.button(
            plain(question),
            key=f"chat-suggested-{number}",
            icon=":material/help:",
            on_click=put,
            args=(ask, page, question),
        )


def _questions(page: Here) -> list[str]:
    if page.kb == _example_kb():
        return [say("chat.example_one"), say("chat.example_two"), say("chat.example_three")]
    from ui.browser import opened

    entries = opened.knowledge_base(page.kb).documents()
    titles = [Path(shown_name(source)).stem for source in list(entries)[:MOST_SUGGESTED]]
    return [say("chat.about", title=" ".join(title.replace("_", " ").replace("-", " ").split())) for title in titles]
