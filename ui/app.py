"""The browser's app: who looks at it, and which page. `hearth ui` runs it, `python -m streamlit run ui/app.py` too."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder first on the path; there, `cli`, `api` and `pages` would be packages of their own.
# It is left at the end: what is not on the path Streamlit puts there for the length of each run, and a path that
# changes while another session imports makes that import fail.
HERE = Path(__file__).resolve().parent
if sys.path[-1] != str(HERE):
    for entry in [entry for entry in tuple(sys.path) if Path(entry or ".").resolve() == HERE]:
        sys.path.remove(entry)
    if str(HERE.parent) not in sys.path:
        sys.path.insert(0, str(HERE.parent))
    sys.path.append(str(HERE))

import streamlit as st  # noqa: E402

from ui.browser.navigation import show  # noqa: E402

st.set_page_config(page_title="Hearth", page_icon=str(HERE / "hearth.svg"), layout="wide")
show()
