"""The gate's report, Markdown and HTML. What models wrote is escaped: it is text, never markup, a link or a picture."""

from __future__ import annotations

import html
import re
from pathlib import Path

from alignment.evaluate_rules import LOWER_IS_BETTER, Example, Figure, GateResult
from decoder.errors import CheckpointFailed
from prompts.intervals import Interval

HEADS = ("figure", "candidate", "baseline", "gain", "95% interval of the gain", "questions", "failed")
LONGEST = 2000
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; }
th, td { border-bottom: 1px solid #ddd; } .no { color: #a4161a; } .yes { color: #2b6f3a; }
.bar { position: relative; height: 1rem; min-width: 8rem; background: #f2f2f2; }
.bar span { position: absolute; top: .3rem; height: .4rem; background: #59749c; }
.bar i { position: absolute; left: 50%; top: 0; height: 1rem; border-left: 1px solid #222; }
pre { white-space: pre-wrap; background: #f7f7f7; padding: .5rem; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
"""


def to_markdown(result: GateResult) -> str:
    """The report for people who read text."""
    lines = [f"# {_plain(result.candidate)} against {_plain(result.baseline)}", "", _verdict(result), ""]
    lines += [f"- {_plain(reason)}" for reason in result.reasons] + [""] * bool(result.reasons)
    lines += ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(_cells(each)) + " |" for each in result.figures]
    lines += ["", _legend(), ""]
    lines += [_plain(note) + "\n" for note in result.notes]
    for number, example in enumerate(result.examples, start=1):
        lines += [f"## Prompt {number}{_plain(_winner(example))}", "", _fenced(example.prompt)]
        lines += ["", "Candidate:", "", _fenced(example.candidate), "", "Baseline:", "", _fenced(example.baseline), ""]
    return "\n".join(lines).rstrip() + "\n"


def to_html(result: GateResult) -> str:
    """The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""
    title = html.escape(f"{result.candidate} against {result.baseline}")
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in result.reasons)
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in (*HEADS, ""))
    rows = "".join(_row(each) for each in result.figures)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in (_legend(), *result.notes))
    examples = "".join(_pair(number, each) for number, each in enumerate(result.examples, start=1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        f'<p class="{"yes" if result.passed else "no"}">{html.escape(_verdict(result))}</p><ul>{reasons}</ul>'
        f"<table><tr>{heads}</tr>{rows}</table>{notes}{examples}</body></html>\n"
    )


def write_report(result: GateResult, folder: Path) -> tuple[Path, Path]:
    """Write report.md and report.html. Raises CheckpointFailed when the disk refuses."""
    found = folder / "report.md", folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(found, (to_markdown(result), to_html(result)), strict=True):
            path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CheckpointFailed("writing the report", f"{folder}: {error.strerror}", "Free some space") from error
    return found


def _verdict(result: GateResult) -> str:
    return "The candidate passes." if result.passed else "The candidate does not pass:"


def _legend() -> str:
    return (
        "Gain is how much better the candidate is, question by question, whichever way better is; its interval is a "
        "paired bootstrap over the questions. win_rate counts a tie as half; loss is in nats a token, lower is better."
    )


def _cells(each: Figure) -> tuple[str, ...]:
    name = f"{each.name} (lower is better)" if each.name in LOWER_IS_BETTER else each.name
    gain = each.gain
    return (
        name,
        _interval(each.candidate),
        _interval(each.baseline),
        f"{gain.value:+.3f}",
        f"{gain.low:+.3f} to {gain.high:+.3f}",
        str(gain.count),
        str(each.missing),
    )


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _row(each: Figure) -> str:
    cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(each))
    gain = each.gain
    reach = max(abs(gain.low), abs(gain.high), 1e-9)
    left, right = 50 + 48 * gain.low / reach, 50 + 48 * gain.high / reach
    bar = f'<span style="left:{left:.1f}%;width:{max(right - left, 1):.1f}%"></span><i></i>'
    return f'<tr>{cells}<td><div class="bar">{bar}</div></td></tr>'


def _pair(number: int, example: Example) -> str:
    prompt, candidate, baseline = (html.escape(text[:LONGEST]) for text in _texts(example))
    return (
        f"<h2>Prompt {number}{html.escape(_winner(example))}</h2><pre>{prompt}</pre>"
        f'<div class="pair"><div>Candidate<pre>{candidate}</pre></div><div>Baseline<pre>{baseline}</pre></div></div>'
    )


def _texts(example: Example) -> tuple[str, str, str]:
    return example.prompt, example.candidate, example.baseline


def _winner(example: Example) -> str:
    return f": {example.winner}" if example.winner else ""


def _fenced(text: str) -> str:
    """As a code block whose fence is longer than any in the text."""
    shown = text[:LONGEST]
    fence = "`" * (1 + max(2, *map(len, re.findall("`+", shown)), 2))
    return f"{fence}text\n{shown}\n{fence}"


def _plain(text: str) -> str:
    """A line that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", " ".join(text.split()))
