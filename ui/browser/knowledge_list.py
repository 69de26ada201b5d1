"""The table of documents, and what can be done with those that are chosen in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.browser import knowledge_begin, opened
from ui.browser.knowledge_failures import failures, put_aside
from ui.browser.knowledge_preview import show_preview
from ui.browser.knowledge_rows import Row, rows
from ui.browser.knowledge_uploads import remove_upload
from ui.browser.person import person
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say

ICONS = {"ready": "✓", "words": "…", "duplicate": "=", "archive": "▤", "failed": "✗", "old": "!"}
FAILED = ("failed", "old")
MOST_HEIGHT = 420
MOST_FAILURES = 200


def show_documents(kb_name: str, writing: bool) -> None:
    """The documents of a knowledge base.

    Args:
        writing: a job changes it now, so that nothing else may.
    """
    held = rows(opened.knowledge_base(kb_name).documents(), failures(kb_name, person().id))
    if not held:
        st.info(
            say("knowledge.no_documents_yet" if writing else "knowledge.no_documents"), icon=":material/upload_file:"
        )
        return
    _show_failures(held)
    chosen = _choose(kb_name, held)
    if not chosen:
        st.caption(say("knowledge.choose_documents"))
    else:
        _actions(kb_name, chosen, writing)
    if len(chosen) == 1 and chosen[0].known:
        show_preview(kb_name, chosen[0])
    for row in chosen:
        if row.status in FAILED:
            st.text(say("knowledge.reason", name=row.name, reason=row.reason))


def _show_failures(held: Sequence[Row]) -> None:
    failed = [row for row in held if row.status in FAILED]
    if failed:
        with st.expander(say("knowledge.failed_list", n=len(failed)), icon=":material/error:"):
            st.text(
                "\n".join(say("knowledge.reason", name=row.name, reason=row.reason) for row in failed[:MOST_FAILURES])
            )


def _choose(kb_name: str, held: Sequence[Row]) -> list[Row]:
    """The table. Its key changes with the documents, so that a choice never passes on to another one."""
    digest = hashlib.sha256(repr([row.source for row in held]).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    event = st.dataframe(
        table(held),
        key=f"knowledge-list-{kb_name}-{digest}",
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(MOST_HEIGHT, 38 + 35 * len(held)),
        width="stretch",
        alt=say("knowledge.documents_alt", n=len(held)),
    )
    return [held[number] for number in event["selection"]["rows"] if number < len(held)]


def table(held: Sequence[Row]) -> dict[str, list[Any]]:
    """The rows as they are shown."""
    columns: dict[str, list[Any]] = {
        "name": [row.name for row in held],
        "status": [f"{ICONS[row.status]} {say(f'knowledge.status_{row.status}')}" for row in held],
        "kind": [row.kind for row in held],
        "passages": [row.passages for row in held],
        "size": [_size(row.size) for row in held],
        "modified": [row.modified.strftime("%Y-%m-%d %H:%M") if row.modified else "" for row in held],
        "reason": [row.reason for row in held],
    }
    return {say(f"knowledge.column_{name}"): values for name, values in columns.items()}


def _size(size: int | None) -> str:
    return "" if size is None else in_bytes(size)


def in_bytes(size: float) -> str:
    """As in "812 B", "3.4 kB", "12.0 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _actions(kb_name: str, chosen: Sequence[Row], writing: bool) -> None:
    again, away, _ = st.columns([2, 2, 5])
    known = [row.source for row in chosen if row.known]
    help_text = say("knowledge.busy") if writing else None
    if again.button(
        say("knowledge.read_again", n=len(known)),
        key="knowledge-read-again",
        icon=":material/refresh:",
        disabled=writing or not known,
        help=help_text,
    ):
        with problems_shown():
            knowledge_begin.read_again(kb_name, known)
            st.rerun()
    with away.popover(
        say("knowledge.delete", n=len(chosen)), icon=":material/delete:", disabled=writing, help=help_text
    ):
        st.markdown(say("knowledge.delete_sure", names=plain(", ".join(row.name for row in chosen[:5]))))
        if st.button(say("knowledge.delete_yes"), key="knowledge-delete-yes", type="primary"):
            with problems_shown():
                delete(kb_name, chosen)
                st.rerun()


def delete(kb_name: str, chosen: Sequence[Row]) -> None:
    """Take documents out of the index, and delete the files that were uploaded. Raises IndexLocked, StoreFailed."""
    base = opened.knowledge_base(kb_name)
    for row in chosen:
        if row.source in base.documents():
            base.remove(row.source)
        remove_upload(row.source, kb_name)
    put_aside(kb_name, [row.source for row in chosen if row.reason])
