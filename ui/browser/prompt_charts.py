"""The figures of prompts as charts, each with its table beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui.browser.strings import say

if TYPE_CHECKING:
    from prompts.voting import Vote

ROW, AXIS = 40, 80
"""Pixels of a bar, and of the axis below."""
BAR, WHISKER = "#c2531f", "#8c8279"
"""Seen on light and on dark grounds."""
HEIGHT = 300
"""Of the votes: the same for any number of answers, so that nothing jumps as they come."""
MOST_BARS = 12
LONGEST = 60


def show_votes(votes: Sequence[Vote]) -> None:
    """The votes for each answer, most first."""
    import altair as alt

    rows = [
        {"answer": _short(vote.text), "samples": vote.count, "share": vote.share, "place": at}
        for at, vote in enumerate(votes[:MOST_BARS])
    ]
    chart = (
        alt.Chart({"values": rows}, height=HEIGHT)
        .mark_bar(color=BAR)
        .encode(
            x=alt.X("samples:Q", title=say("prompts.votes_axis"), axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("answer:N", title=None, sort=alt.EncodingSortField("place", order="ascending")),
        )
    )
    st.altair_chart(chart, width="stretch", key="prompt-votes")
    with st.expander(say("prompts.votes_table")):
        st.dataframe(
            {
                say("prompts.col_answer"): [row["answer"] for row in rows],
                say("prompts.votes_axis"): [row["samples"] for row in rows],
                say("prompts.col_share"): [f"{row['share']:.0%}" for row in rows],
            },
            width="stretch",
            hide_index=True,
        )


def show_accuracy(variants: Sequence[Mapping[str, Any]]) -> None:
    """Accuracy of each variant with its interval; the table stands beside it anyway."""
    import altair as alt

    rows = [
        {"variant": each["label"], "place": at, **_bounds(each["summary"]["accuracy"])}
        for at, each in enumerate(variants)
    ]
    base = alt.Chart({"values": rows}, height=AXIS + ROW * len(rows))
    y = alt.Y("variant:N", title=None, sort=alt.EncodingSortField("place", order="ascending"))
    scale = alt.Scale(domain=[0, 1])
    bars = base.mark_bar(color=BAR, opacity=0.5).encode(
        x=alt.X("value:Q", title=say("prompts.accuracy_axis"), scale=scale, axis=alt.Axis(format="%")), y=y
    )
    whiskers = base.mark_rule(strokeWidth=3, color=WHISKER).encode(
        x=alt.X("low:Q", title="", scale=scale), x2="high:Q", y=y
    )
    st.altair_chart(bars + whiskers, width="stretch", key="prompt-accuracy")


def _bounds(interval: Mapping[str, float]) -> dict[str, float]:
    return {name: interval[name] for name in ("value", "low", "high")}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
