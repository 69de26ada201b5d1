"""Plots as SVG text for a page: readable on light and dark, the same bytes for the same figures.

Drawn by matplotlib's own SVG backend, without pyplot and its global state.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from decoder.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from decoder.runs.metric_series import Series

INK = "#010203"
"""Stands for the page's own text colour, which is put in its place."""
COLOURS = ("#3987d6", "#d9772b", "#2f9e62", "#9a6bd0", "#d6455d", "#8a8f98")
"""Of middling lightness, so that they show on white and on near-black."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "path.simplify": True,
}


def plot_series(axes: Axes, shown: Mapping[str, Series]) -> None:
    """Figures over steps, each with the spread of the values that its points stand for."""
    for colour, (name, values) in zip(COLOURS, shown.items(), strict=False):
        marker = "o" if len(values.steps) < 3 else None
        axes.plot(values.steps, values.means, color=colour, label=name, marker=marker, markersize=3)
        if values.merged:
            axes.fill_between(values.steps, values.lows, values.highs, color=colour, alpha=0.2, linewidth=0)
    if len(shown) > 1:
        axes.legend()
    axes.set_xlabel("step")


def draw(title: str, lines: Callable[[Axes], None], width: float = 5.0, height: float = 2.9) -> str:
    """SVG of one plot; `lines` draws into its axes. Sizes in inches. Raises MissingExtra."""
    figure, style = _figure(title, lines, width, height)
    return _svg(figure, title, style)


def _figure(title: str, lines: Callable[[Axes], None], width: float, height: float) -> tuple[Figure, dict[Any, Any]]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("drawing the report", "matplotlib", "align") from error
    style = {**STYLE, "svg.hashsalt": title}
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        lines(axes)
        axes.set_title(title, loc="left")
    return figure, style


def _svg(figure: Figure, title: str, style: dict[Any, Any]) -> str:
    import html

    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    written = io.StringIO()
    with mpl.rc_context(style):
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(written, metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    text = written.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # the same ones in every plot, and a page has many
    label = html.escape(title, quote=True)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
