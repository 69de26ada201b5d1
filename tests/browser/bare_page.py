"""Streamlit's own widgets on a page of nothing else: what axe finds here is not ours."""

import pandas as pd
import streamlit as st

st.set_page_config(page_title="bare", layout="wide")
st.title("Bare")
with st.sidebar:
    st.button("In the sidebar")
    st.caption("words")
st.markdown("words [link](https://example.org) `code`")
st.text_input("text", help="help")
st.text_area("area")
st.number_input("number")
st.selectbox("select", ["a", "b"])
st.multiselect("multi", ["a", "b"], ["a"])
st.slider("slider", 0, 10)
st.select_slider("choice", ["a", "b"])
st.radio("radio", ["a", "b"])
st.checkbox("check")
st.toggle("toggle")
st.pills("pills", ["a", "b"])
st.segmented_control("segments", ["a", "b"], default="a")
st.file_uploader("files")
st.file_uploader("many", accept_multiple_files="directory")
st.button("button", type="primary", help="help")
st.button("off", disabled=True)
st.download_button("download", b"x")
st.metric("metric", 1, 2, chart_data=[1, 2])
st.dataframe(pd.DataFrame({"a": [1, 2]}))
st.data_editor(pd.DataFrame({"a": [1, 2]}))
st.table(pd.DataFrame({"a": [1, 2]}))
st.code("code")
st.text("text")
st.json({"a": 1})
st.progress(0.5, "progress")
st.line_chart({"a": [1, 2]})
st.bar_chart({"a": [1, 2]})
st.scatter_chart({"a": [1, 2]})
st.badge("badge", color="orange")
st.feedback("thumbs")
st.image(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xff\xff?\0\5\xfe\2\xfe\xa35\x81\x84\0\0\0\0IEND\xaeB`\x82",
    "one pixel",
)
for kind in (st.error, st.warning, st.info, st.success):
    kind("words", icon=":material/info:")
for tab, name in zip(st.tabs(["one", "two"]), "ab", strict=True):
    tab.write(name)
with st.expander("expander"):
    st.write("inside")
with st.popover("popover"):
    st.write("inside")
with st.status("status", state="complete"):
    st.write("inside")
with st.form("form"):
    st.text_input("inside")
    st.form_submit_button("send")
with st.chat_message("assistant"):
    st.write("hello")
with st.container(height=100):
    st.text("\n".join("scrolled" for _ in range(40)))
st.chat_input("ask", accept_file="multiple")
