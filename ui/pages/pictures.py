"""The page "pictures": draw, look, train, walk between codes, compare."""

from __future__ import annotations

import streamlit as st

from decoder.errors import MissingExtra
from ui.browser.entrance import enter
from ui.browser.picture_between import show_between
from ui.browser.picture_compare import show_compare
from ui.browser.picture_draw import show_draw
from ui.browser.picture_shelf import show_gallery
from ui.browser.picture_train import show_train
from ui.browser.problems import problems_shown
from ui.browser.safe_text import plain
from ui.browser.strings import say
from ui.cli.generate_options import require_generators

VIEWS = {
    "draw": show_draw,
    "gallery": show_gallery,
    "train": show_train,
    "between": show_between,
    "compare": show_compare,
}

enter("pictures")
try:
    require_generators()
except MissingExtra as error:
    st.info(say("app.missing_extra", command=plain(error.remedy)), icon=":material/inventory_2:")
    st.stop()
names = {
    "draw": say("pictures.draw"),
    "gallery": say("pictures.gallery"),
    "train": say("pictures.train"),
    "between": say("pictures.between"),
    "compare": say("pictures.compare"),
}
view = st.segmented_control(
    say("pictures.view"),
    list(VIEWS),
    default="draw" if "pictures-view" not in st.session_state else None,
    required=True,
    format_func=names.__getitem__,
    key="pictures-view",
    label_visibility="collapsed",
)
with problems_shown():
    VIEWS[view or "draw"]()
