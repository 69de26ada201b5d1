"""A run as an outline: steps, what was thought, done and seen in each, and what it cost; for a terminal and as HTML.

Made of events, so a transcript can be looked at long after. Text in it is untrusted: HTML is escaped, and whoever
prints the lines cleans them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agents.events import (
    Action,
    ApprovalAsked,
    ApprovalGiven,
    DecoderCalled,
    Event,
    FinalAnswer,
    Hint,
    Nested,
    Observation,
    RunEnded,
    RunStarted,
    Spent,
    Thought,
    Truncated,
    Unparsable,
)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #1b1b1b; color: #ddd; }} }}
ul {{ list-style: none; padding-left: 1.2rem; border-left: 1px solid #8884; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 .6rem; font-size: 13px; opacity: .85; }}
summary, .leaf {{ cursor: default; }}
.note {{ opacity: .6; font-size: 13px; margin-left: .5rem; }}
.bad {{ color: #c33; }}
</style></head><body>
<h1>{title}</h1>
<ul>{body}</ul>
</body></html>
"""


@dataclass(slots=True)
class Node:
    """One line of the outline: a label, a note beside it, a longer text, and what is beneath."""

    label: str
    note: str = ""
    text: str = ""
    bad: bool = False
    children: list[Node] = field(default_factory=list)


def outline(events: Iterable[Event]) -> Node:
    """The tree of a run, and of the runs inside it."""
    root = Node("run")
    workers: dict[str, list[Event]] = {}
    step = root
    seen = 0
    for event in events:
        number = getattr(event, "step", seen)
        if number != seen:
            seen, step = number, Node(f"step {number}")
            root.children.append(step)
        match event:
            case RunStarted():
                root.label, root.text, root.note = f"{event.agent}: {_line(event.task)}", event.task, event.model
            case RunEnded():
                root.note = f"{event.result.ended}, {cost(event.result.spent)}"
                root.bad = not event.result.ok
            case Nested():
                workers.setdefault(event.call_id, []).append(event.event)
            case _:
                step.children += _nodes(event, workers)
    return root


def text_lines(node: Node, depth: int = 0) -> Iterator[str]:
    """The outline line by line, without the longer texts."""
    note = f"  ({node.note})" if node.note else ""
    yield f"{'  ' * depth}{'! ' if node.bad else ''}{node.label}{note}"
    for child in node.children:
        yield from text_lines(child, depth + 1)


def to_html(events: Iterable[Event]) -> str:
    """A page that needs nothing else: no script runs in it, nothing is loaded, every text is escaped."""
    root = outline(events)
    return PAGE.format(title=html.escape(root.label), body=_item(root))


def cost(spent: Spent) -> str:
    """What was spent, in a line."""
    parts = [f"{spent.steps} steps", f"{spent.tool_calls} calls", f"{spent.tokens:,} tokens"]
    parts += [f"{spent.cached_tokens:,} cached"] if spent.cached_tokens else []
    parts += [f"{spent.cost:.4f} of money"] if spent.cost else []
    return ", ".join([*parts, f"{spent.seconds:.2f} s"])


def _nodes(event: Event, workers: dict[str, list[Event]]) -> list[Node]:
    match event:
        case Thought():
            return [Node(f"thought: {_line(event.text)}", "cut off" if event.truncated else "", event.text)]
        case DecoderCalled():
            tokens = f"{event.usage.prompt_tokens} + {event.usage.completion_tokens} tokens, {event.seconds:.3f} s"
            return [Node(f"decoder ({event.purpose})", tokens)]
        case Action():
            return [Node(f"action: {call.tool}", "", _json(call.arguments)) for call in event.calls]
        case Truncated() | Unparsable():
            return [_unusable(event)]
        case ApprovalAsked() | ApprovalGiven():
            return [_approval(event)]
        case Observation():
            return [_observed(event, workers)]
        case Hint():
            return [Node(f"hint: {_line(event.text)}", "", event.text)]
        case FinalAnswer():
            answer = event.answer if isinstance(event.answer, str) else _json(event.answer)
            return [Node(f"answer: {_line(answer)}", "", answer)]
        case _:
            return []


def _approval(event: ApprovalAsked | ApprovalGiven) -> Node:
    if isinstance(event, ApprovalAsked):
        return Node(f"approval asked: {event.call.tool}", event.reason)
    return Node("approved" if event.approved else "not approved", event.by, bad=not event.approved)


def _unusable(event: Truncated | Unparsable) -> Node:
    if isinstance(event, Truncated):
        return Node("action cut off", f"after {event.max_tokens} tokens", event.text, bad=True)
    return Node(f"action not readable: {_line(event.cause)}", "", event.text, bad=True)


def _observed(event: Observation, workers: dict[str, list[Event]]) -> Node:
    notes = [f"{event.seconds:.3f} s"] if event.ran else ["not run"]
    notes += ["untrusted"] if event.untrusted else []
    notes += [f"{event.omitted:,} characters left out"] if event.omitted else []
    label = f"{event.call.tool} {'failed' if event.error else 'gave'}: {_line(event.text)}"
    inside = workers.pop(event.call.id, None)
    children = [outline(inside)] if inside else []
    return Node(label, ", ".join(notes), event.text, event.error, children)


def _item(node: Node) -> str:
    label = f"<span{' class=bad' if node.bad else ''}>{html.escape(node.label)}</span>"
    note = f"<span class=note>{html.escape(node.note)}</span>" if node.note else ""
    inside = f"<pre>{html.escape(node.text)}</pre>" if node.text else ""
    children = "".join(_item(child) for child in node.children)
    if children:
        return f"<li><details open><summary>{label}{note}</summary>{inside}<ul>{children}</ul></details></li>"
    if inside:
        return f"<li><details><summary>{label}{note}</summary>{inside}</details></li>"
    return f"<li class=leaf>{label}{note}</li>"


def _line(text: str, limit: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
