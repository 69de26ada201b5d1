"""The plots of a run's report: one a figure, its phases beside each other; the held-out ones after the losses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from decoder.runs.metric_series import Series
from decoder.runs.plots import draw, plot_series

MOST = 24
"""Plots of a report; further figures are in its table alone."""
LAST = ("learning_rate", "grad_norm")
HELD_OUT = "eval_"


def draw_charts(series: Mapping[str, Series]) -> list[tuple[str, str]]:
    """(title, SVG) of each figure that was logged. Raises MissingExtra without matplotlib."""
    groups: dict[str, dict[str, Series]] = {}
    for name, values in series.items():
        groups.setdefault(title_of(name), {})[name] = values
    titles = sorted(groups, key=lambda title: (title in LAST, title != "loss", title.startswith("held-out"), title))
    return [
        (title, draw(title.replace("_", " "), partial(plot_series, shown=groups[title]))) for title in titles[:MOST]
    ]


def title_of(name: str) -> str:
    """What a figure's plot is called: `critic/loss` and `generator/loss` share one."""
    if name.startswith(HELD_OUT):
        return "held-out " + name.removeprefix(HELD_OUT).replace("_", " ")
    return name.rpartition("/")[2]
