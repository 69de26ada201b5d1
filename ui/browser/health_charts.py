"""vLLM's figures over time as charts of a fixed height, the latest as numbers, all as a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ui.browser.health_sampler import EVERY, Point, sampler
from ui.browser.problems import live
from ui.browser.strings import say

HEIGHT = 260
CHARTS: dict[str, dict[str, Callable[[Point], float | None]]] = {
    "requests": {"running": lambda p: p.reading.running, "waiting": lambda p: p.reading.waiting},
    "speed": {"prompt": lambda p: p.rates.prompt, "generation": lambda p: p.rates.generation},
    "shares": {"cache": lambda p: _percent(p.reading.cache_usage), "hits": lambda p: _percent(p.rates.prefix_hits)},
}
"""By chart, its lines: for each, what a point says."""


def show_metrics() -> None:
    """The charts of one server; they are drawn anew every few seconds and stay where they are."""
    live(_show, EVERY)()


def _show() -> None:
    kept = sampler().look()
    if not kept:
        st.caption(say("health.no_metrics"))
        return
    names = sorted(kept)
    name = st.selectbox(say("health.server"), names, key="health-metrics-of") if len(names) > 1 else names[0]
    points = kept.get(name or names[0], [])
    if not points:
        return
    _latest(points)
    columns = st.columns(len(CHARTS))
    for column, (chart, lines) in zip(columns, CHARTS.items(), strict=True):
        with column:
            st.markdown(f"#### {say(f'health.chart_{chart}')}")
            st.line_chart(series(points, lines), x=say("health.time"), x_label="", height=HEIGHT, width="stretch")
    with st.expander(say("health.metrics_table")):
        st.dataframe(_table(points), width="stretch", hide_index=True, height=HEIGHT)


def series(points: Sequence[Point], lines: dict[str, Callable[[Point], float | None]]) -> dict[str, list[Any]]:
    """Columns of a chart: the time, and a line each; what was not told is a gap."""
    import datetime

    told = {say(f"health.line_{name}"): [of(point) for point in points] for name, of in lines.items()}
    return {say("health.time"): [datetime.datetime.fromtimestamp(point.at) for point in points], **told}


def _latest(points: Sequence[Point]) -> None:
    lines = [(name, of) for chart in CHARTS.values() for name, of in chart.items()]
    for column, (name, of) in zip(st.columns(len(lines)), lines, strict=True):
        value = of(points[-1])
        shown = (
            "–"
            if value is None
            else f"{value:.0f} %"
            if name in CHARTS["shares"]
            else f"{value:.1f}".rstrip("0").rstrip(".")
        )
        column.metric(say(f"health.line_{name}"), shown)


def _table(points: Sequence[Point]) -> dict[str, list[Any]]:
    newest = list(reversed(points))
    clock = [time.strftime("%H:%M:%S", time.localtime(point.at)) for point in newest]
    lines = {name: of for chart in CHARTS.values() for name, of in chart.items()}
    return {
        say("health.time"): clock,
        **{say(f"health.line_{name}"): [of(point) for point in newest] for name, of in lines.items()},
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
