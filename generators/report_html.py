"""A run's report as one HTML page: plots as inline SVG, sample grids within the page, no script, nothing fetched."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.runs.page import page, picture, plots, table
from generators import report

if TYPE_CHECKING:
    from generators.report import Gathered


def to_html(gathered: Gathered) -> str:
    """The whole report."""
    from generators.report_charts import draw_charts

    name = str(gathered.state.get("name") or "a run")
    body = [table((), report.header(gathered))]
    body += [f'<div class="alarm" role="alert">{escape(text)}</div>' for text in report.alarms(gathered)]
    sections = (
        ("Samples over time", _pictures(gathered)),
        ("Curves", plots(svg for _, svg in draw_charts(gathered.series))),
        ("Held-out figures", table((), report.final_figures(gathered))),
        ("Evaluation", _evaluation(gathered)),
        ("Data", table((), report.data_figures(gathered))),
        ("Pictures left out", table(("picture and reason",), [(text,) for text in report.skipped(gathered)])),
        ("Figures over the run", table(report.RANGE_HEAD, report.ranges(gathered))),
    )
    return page(name, body + [f"<h2>{title}</h2>\n{text}" for title, text in sections if text], pictures=True)


def _evaluation(gathered: Gathered) -> str:
    parts = [table((), report.evaluation_figures(gathered))]
    for judge, rows in report.judged(gathered):
        parts += [f"<h3>By {escape(judge)}</h3>", table(report.JUDGED_HEAD, rows)]
    return "\n".join(part for part in parts if part)


def _pictures(gathered: Gathered) -> str:
    shown = "\n".join(picture(_read(file), f"step {step}") for step, file in gathered.grids)
    return f'<div class="pictures">\n{shown}\n</div>' if shown else ""


def _read(file: Path) -> bytes:
    return file.read_bytes()
