"""A page that shows every hostile string at every kind of place, as the pages of the house show such text.

As Markdown of its own and as an option's label each stands alone; elsewhere all stand together in one label.
"""

import os

import pandas as pd
import streamlit as st

from tests.security.hostile_strings import hostile
from ui.browser.safe_text import plain, safe_markdown

texts = hostile(os.environ["HEARTH_TEST_PLACE"])
raw = [text.encode(errors="replace").decode().replace("\0", "") for text in texts]
labels = [plain(text) or "empty" for text in texts]
together = " ".join(labels)
st.set_page_config(page_title="hostile", layout="wide")
st.title("Hostile")
for number, text in enumerate(texts):
    with st.container(key=f"markdown-{number}"):
        st.markdown(safe_markdown(text))
with st.container(key="options"):
    st.radio("Choose", range(len(texts)), format_func=labels.__getitem__)
for name, place in {
    "markdown": st.markdown,
    "caption": st.caption,
    "error": st.error,
    "info": st.info,
    "success": st.success,
    "button": lambda label: st.button(label, key="b", help=label),
    "expander": lambda label: st.expander(label).write("inside"),
    "metric": lambda label: st.metric(label, 1),
    "checkbox": st.checkbox,
    "input": st.text_input,
    "pills": lambda label: st.pills("Pick", [label], label_visibility="collapsed"),
    "tab": lambda label: st.tabs([label]),
    "status": lambda label: st.status(label, state="complete"),
    "chat": lambda label: st.chat_message("assistant").markdown(label),
    "subheader": st.subheader,
    "popover": lambda label: st.popover(label),
}.items():
    with st.container(key=f"all-{name}"):
        place(together)
st.selectbox("Select", raw)
st.text("\n".join(raw))
st.code("\n".join(raw), language=None)
st.dataframe(pd.DataFrame({"text": raw}))
st.download_button("Download", b"x", file_name=raw[0], key="download")
st.caption("all shown")
