"""A run's report as one HTML page: plots as inline SVG, no script, nothing fetched, every text escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from alignment import report
from decoder.runs.page import page, plots, table

if TYPE_CHECKING:
    from alignment.report import Gathered

RANGE_HEAD = ("figure", "first", "last", "lowest", "highest", "values")


def to_html(gathered: Gathered) -> str:
    """The whole report."""
    from alignment.plots import draw_charts

    name = str(gathered.state.get("name") or "a run")
    body = [table((), report.header(gathered))]
    body += [f'<div class="alarm" role="alert">{escape(text)}</div>' for text in report.alarms(gathered)]
    sections = (
        ("Curves", plots(svg for _, svg in draw_charts(gathered.series))),
        ("Over-optimisation", _watched(gathered)),
        ("Final figures", table((), report.final_figures(gathered))),
        ("Reward model", _reward(gathered)),
        ("Samples over time", _samples(gathered)),
        ("Data", table((), report.data_figures(gathered))),
        ("Figures over the run", table(RANGE_HEAD, report.ranges(gathered))),
    )
    return page(name, body + [f"<h2>{title}</h2>\n{text}" for title, text in sections if text])


def _watched(gathered: Gathered) -> str:
    from alignment.plots import draw_overoptimisation
    from alignment.report_markdown import curve_text

    watched = gathered.watched
    if watched is None:
        return ""
    text = curve_text(watched)
    return plots([draw_overoptimisation(watched.points)]) + (f"<p>{escape(text)}</p>" if text else "")


def _reward(gathered: Gathered) -> str:
    from alignment.plots import draw_reliability
    from alignment.report_reward import ambiguous, bins, curve, figures

    parts = [table((), figures(gathered.reward))]
    if points := curve(gathered.reward):
        parts.append(plots([draw_reliability(*zip(*points, strict=True))]))
    parts.append(table(("confidence", "accuracy", "pairs"), bins(gathered.reward)))
    pairs = ambiguous(gathered.reward)
    parts.append("<h3>The most ambiguous pairs</h3>" if pairs else "")
    for pair in pairs:
        said = "".join(f"<p>{escape(name)}</p><pre>{escape(value)}</pre>" for name, value in pair)
        parts.append(f'<div class="sample">{said}</div>')
    return "\n".join(part for part in parts if part)


def _samples(gathered: Gathered) -> str:
    parts = []
    for step, lines in gathered.samples.items():
        parts.append(f"<h3>Step {step}</h3>")
        parts += [_sample(line) for line in lines]
    return "\n".join(parts)


def _sample(line: dict[str, Any]) -> str:
    extra = {k: v for k, v in line.items() if k not in ("step", "prompt", "response")}
    told = ", ".join(f"{name} {report.figure(value)}" for name, value in extra.items())
    prompt, response = (escape(report.clipped(line.get(key, ""))) for key in ("prompt", "response"))
    head = f"<p>{escape(told)}</p>" if told else ""
    return f'<div class="sample">{head}<pre>{prompt}</pre><pre class="response">{response}</pre></div>'
