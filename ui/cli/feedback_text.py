"""How a piece of feedback reads: in a list, and whole. Prints nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ui.text_cleaning import clean_line

if TYPE_CHECKING:
    from alignment.feedback_events import Event


def moment_of(event: Event) -> str:
    """When it was said, in local time."""
    return datetime.fromtimestamp(event.time).isoformat(" ", "seconds")


def row(event: Event) -> tuple[str, ...]:
    """Its line in a list."""
    model = event.exchange.model if event.exchange else ""
    return event.id, moment_of(event), event.kind, event.person, model, _shorten(_said(event))


def _said(event: Event) -> str:
    match event.kind:
        case "vote":
            response = event.exchange.response if event.exchange else ""
            return f"{'good' if event.vote > 0 else 'bad'}: {event.comment or response}"
        case "edit":
            return event.edit
        case "ranking":
            return " > ".join(text for _, text in sorted(zip(event.ranks, event.responses, strict=True)))
    return event.comment


def _shorten(text: str, most: int = 80) -> str:
    line = clean_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def parts(event: Event) -> list[tuple[str, str]]:
    """What `show` prints below the facts, with a title each."""
    exchange = event.exchange
    found: list[tuple[str, str]] = []
    if exchange is not None:
        found += [(str(message.get("role")), _text(message.get("content"))) for message in exchange.prompt]
        found += [(f"passage {n}: {shown.label}", shown.text) for n, shown in enumerate(exchange.context, 1)]
        found += [("answer", exchange.response)] if exchange.response else []
    found += [(f"rank {rank}", text) for rank, text in sorted(zip(event.ranks, event.responses, strict=True))]
    if event.kind == "vote":
        found.append(("vote", "good" if event.vote > 0 else "bad"))
    found += [(name, text) for name, text in (("better answer", event.edit), ("comment", event.comment)) if text]
    return found + ([("of event", event.target)] if event.target else [])


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)
