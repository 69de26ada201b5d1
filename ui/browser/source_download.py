"""The original of a source, for whoever uploaded it here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st

from rag.load import read_file
from ui.browser.person import person
from ui.browser.source_lookup import Found, Source, uploaded
from ui.browser.source_names import name_of
from ui.browser.strings import say


def offer_original(found: Found, kb_name: str, source: Source, key: str) -> None:
    """A button that saves the file, where it is an upload of this person's that is still what was indexed."""
    if found.file is None or not person().own([kb_name]) or not uploaded(found.file, kb_name):
        return
    file = found.file
    st.download_button(
        say("sources.download"),
        lambda: _indexed(file, found.hash),
        file_name=Path(name_of(source.first.source)).name,
        mime="application/octet-stream",
        key=f"{key}-download",
        icon=":material/download:",
        on_click="ignore",
    )


def _indexed(file: Path, content_hash: str) -> bytes:
    """The file's bytes; none where they are no longer those that were indexed. Raises DocumentError."""
    data = read_file(file)
    return data if hashlib.sha256(data).hexdigest() == content_hash else b""
