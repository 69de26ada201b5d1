"""The plots of a run's report: one a figure, its phases beside each other; the held-out ones after the losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from decoder.runs.metric_series import Series
from decoder.runs.plots import COLOURS, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    return [(title, _draw(title, groups[title])) for title in titles[:MOST]]


def title_of(name: str) -> str:
    """What a figure's plot is called: `critic/loss` and `generator/loss` share one."""
    if name.startswith(HELD_OUT):
        return "held-out " + name.removeprefix(HELD_OUT).replace("_", " ")
    return name.rpartition("/")[2]


def _draw(title: str, shown: Mapping[str, Series]) -> str:
    def lines(axes: Axes) -> None:
        for colour, (name, values) in zip(COLOURS, shown.items(), strict=False):
            marker = "o" if len(values.steps) < 3 else None
            axes.plot(values.steps, values.means, color=colour, label=name, marker=marker, markersize=3)
            if values.merged:
                axes.fill_between(values.steps, values.lows, values.highs, color=colour, alpha=0.2, linewidth=0)
        if len(shown) > 1:
            axes.legend()
        axes.set_xlabel("step")

    return draw(title.replace("_", " "), lines)
