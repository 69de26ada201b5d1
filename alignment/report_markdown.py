"""A run's report as Markdown: tables and texts, no plots. What models and users wrote is quoted, never marked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignment import report
from decoder.runs.markdown import cell, fenced, table

if TYPE_CHECKING:
    from alignment.report import Gathered, Watched

RANGE_HEAD = ("figure", "first", "last", "lowest", "highest", "values")


def to_markdown(gathered: Gathered) -> str:
    """The whole report."""
    parts = [f"# {cell(str(gathered.state.get('name') or 'a run'))}", table((), report.header(gathered))]
    parts += [f"**Alarm**: {cell(text)}" for text in report.alarms(gathered)]
    sections = (
        ("Final figures", table((), report.final_figures(gathered))),
        ("Data", table((), report.data_figures(gathered))),
        ("Over-optimisation", _watched(gathered.watched)),
        ("Reward model", _reward(gathered)),
        ("Figures over the run", table(RANGE_HEAD, report.ranges(gathered))),
        ("Samples", _samples(gathered)),
    )
    for title, body in sections:
        parts += [f"## {title}", body] if body else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _watched(watched: Watched | None) -> str:
    if watched is None:
        return ""
    first, last = watched.points[0], watched.points[-1]
    rows = [
        (name, report.figure(p.distance), report.figure(p.proxy), report.figure(p.gold))
        for name, p in (("first", first), ("last", last))
    ]
    text = table(("batch", "sqrt(KL)", "proxy", "gold"), rows)
    return text + ("\n\n" + curve_text(watched) if watched.curve else "")


def curve_text(watched: Watched) -> str:
    """What the fitted curve of gold says."""
    curve = watched.curve
    if curve is None:
        return ""
    told = f"Gold follows {curve.start:.3g} + d ({curve.alpha:.3g} - {curve.beta:.3g} log d), d = sqrt(KL)"
    return told + (f"; it turns at d = {curve.peak:.3g}." if curve.peak else "; it does not turn in this range.")


def _reward(gathered: Gathered) -> str:
    from alignment.report_reward import ambiguous, bins, figures

    parts = [table((), figures(gathered.reward))]
    parts.append(table(("confidence", "accuracy", "pairs"), bins(gathered.reward)))
    for number, pair in enumerate(ambiguous(gathered.reward), start=1):
        said = "\n".join(f"{name}: {value}" for name, value in pair)
        parts.append(f"Ambiguous pair {number}:\n\n{fenced(said)}")
    return "\n\n".join(part for part in parts if part)


def _samples(gathered: Gathered) -> str:
    parts = []
    for step, lines in gathered.samples.items():
        parts.append(f"### Step {step}")
        for line in lines:
            extra = {k: v for k, v in line.items() if k not in ("step", "prompt", "response")}
            told = ", ".join(f"{k} {report.figure(v)}" for k, v in extra.items())
            parts.append(cell(told)) if told else None
            parts.append(fenced(report.clipped(line.get("prompt", ""))))
            parts.append(fenced(report.clipped(line.get("response", ""))))
    return "\n\n".join(parts)
