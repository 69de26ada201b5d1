"""A run's report as Markdown: tables, and links to the sample grids; no plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decoder.runs.markdown import cell, table
from generators import report

if TYPE_CHECKING:
    from generators.report import Gathered


def to_markdown(gathered: Gathered) -> str:
    """The whole report."""
    parts = [f"# {cell(str(gathered.state.get('name') or 'a run'))}", table((), report.header(gathered))]
    parts += [f"**Alarm**: {cell(text)}" for text in report.alarms(gathered)]
    grids = "\n\n".join(f"![step {step}](samples/{file.name})" for step, file in gathered.grids)
    sections = (
        ("Held-out figures", table((), report.final_figures(gathered))),
        ("Evaluation", _evaluation(gathered)),
        ("Samples over time", grids),
        ("Data", table((), report.data_figures(gathered))),
        ("Pictures left out", "\n".join(f"- {cell(text)}" for text in report.skipped(gathered))),
        ("Figures over the run", table(report.RANGE_HEAD, report.ranges(gathered))),
    )
    for title, body in sections:
        parts += [f"## {title}", body] if body else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _evaluation(gathered: Gathered) -> str:
    parts = [table((), report.evaluation_figures(gathered))]
    for judge, rows in report.judged(gathered):
        parts += [f"### By {cell(judge)}", table(report.JUDGED_HEAD, rows)]
    return "\n\n".join(part for part in parts if part)
