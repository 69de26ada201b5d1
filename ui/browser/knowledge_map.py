"""The map: passages as points, near where their meanings are, coloured and shaped by document."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui.browser import opened
from ui.browser.knowledge_search import place
from ui.browser.knowledge_uploads import shown_name
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from rag.projection import Projection

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right")
"""One a document; the documents with fewer passages share the last."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b68ee", "#8a8a8a")
"""Of Okabe and Ito where they have one: told apart by people who see colours otherwise."""
WORDS = 90
LONGEST = 40
HEIGHT = 480


def show_map(kb_name: str) -> None:
    """The passages of a knowledge base as a picture, the same as a table, and the one that was chosen."""
    base = opened.knowledge_base(kb_name)
    if not base.documents():
        st.info(say("knowledge.no_documents"), icon=":material/upload_file:")
        return
    with st.spinner(say("knowledge.map_making")):
        found = _projection(kb_name, base.store.manifest().generation)
    if not found.passages:
        st.info(say("knowledge.map_empty"), icon=":material/hourglass_empty:")
        return
    st.caption(say("knowledge.map_help", shown=len(found.passages), total=found.total, kept=f"{found.kept:.0%}"))
    spots = table(found)
    picked = _picked_on_chart(kb_name, spots)
    with st.expander(say("knowledge.map_table")):
        picked = _picked_in_table(kb_name, spots) or picked
    _show_passage(found, picked)


@st.cache_resource(max_entries=8, show_spinner=False)
def _projection(kb_name: str, generation: str) -> Projection:
    """Of one generation, which never changes. Who sees which knowledge base was settled before."""
    from rag.projection import project

    return project(opened.knowledge_base(kb_name).store)


def table(found: Projection) -> list[dict[str, Any]]:
    """The points: id, x, y, document, place and words of each."""
    names = [_short(shown_name(passage.source)) for passage in found.passages]
    most = [name for name, _ in Counter(names).most_common(len(SHAPES))]
    if len(set(names)) > len(SHAPES):
        most = most[:-1]
    return [
        {
            "id": passage.id,
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "document": name if name in most else say("knowledge.map_others"),
            "place": place(passage),
            "words": _first_words(passage.text),
        }
        for passage, name, (x, y) in zip(found.passages, names, found.xy, strict=True)
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[-LONGEST:]}"


def _first_words(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WORDS else f"{line[:WORDS].rsplit(' ', 1)[0]}…"


def _picked_on_chart(kb_name: str, spots: list[dict[str, Any]]) -> str:
    """The id of the passage that was clicked on; empty for none."""
    event: Any = st.altair_chart(
        _chart(spots),
        width="stretch",
        height=HEIGHT,
        key=f"knowledge-map-{kb_name}",
        on_select="rerun",
        selection_mode="spot",
        alt=say("knowledge.map_alt", n=len(spots)),
    )
    chosen = event["selection"].get("spot") or [{}]
    return str(chosen[0].get("id", ""))


def _chart(spots: list[dict[str, Any]]) -> Any:
    import altair as alt

    documents, others = list(dict.fromkeys(spot["document"] for spot in spots)), say("knowledge.map_others")
    picked = alt.selection_point(name="spot", fields=["id"])
    axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False, title=None)
    order = [*(name for name in documents if name != others), *([others] if others in documents else [])]
    styles = [*range(len(order) - 1), len(SHAPES) - 1] if others in order else list(range(len(order)))
    shapes = alt.Scale(domain=order, range=[SHAPES[style] for style in styles])
    colours = alt.Scale(domain=order, range=[COLOURS[style] for style in styles])
    legend = alt.Legend(
        title=say("knowledge.map_document"), orient="bottom", columns=2, labelLimit=150, symbolOpacity=1
    )
    return (
        alt.Chart(alt.Data(values=spots))  # type: ignore[no-untyped-call]
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X("x:Q", axis=axis, scale=alt.Scale(padding=10)),
            y=alt.Y("y:Q", axis=axis, scale=alt.Scale(padding=10)),
            color=alt.Color("document:N", legend=legend, scale=colours),
            shape=alt.Shape("document:N", legend=legend, scale=shapes),
            opacity=alt.condition(picked, alt.value(0.9), alt.value(0.25)),
            tooltip=[
                alt.Tooltip("place:N", title=say("knowledge.map_place")),
                alt.Tooltip("words:N", title=say("knowledge.map_words")),
            ],
        )
        .add_params(picked)
    )


def _picked_in_table(kb_name: str, spots: list[dict[str, Any]]) -> str:
    columns = {"place": say("knowledge.map_place"), "words": say("knowledge.map_words"), "x": "x", "y": "y"}
    shown = {title: [spot[name] for spot in spots] for name, title in columns.items()}
    event: Any = st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=300,
        key=f"knowledge-map-table-{kb_name}",
        on_select="rerun",
        selection_mode="single-row",
        alt=say("knowledge.map_table"),
    )
    chosen = [row for row in event["selection"]["rows"] if row < len(spots)]
    return str(spots[chosen[0]]["id"]) if chosen else ""


def _show_passage(found: Projection, picked: str) -> None:
    passage = next((each for each in found.passages if each.id == picked), None)
    if passage is None:
        st.caption(say("knowledge.map_pick"))
        return
    with st.container(border=True):
        st.markdown(f"**{plain(place(passage))}**")
        st.text(passage.text)
