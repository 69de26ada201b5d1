"""Which rows are held out, and which say the same: by the hash of what they say, never by their place.

A row falls on its side by a hash of the seed and its prompt alone. So the same row always falls on the same side,
whatever stands around it; a larger fraction holds out all that a smaller one did; and rows that share a prompt, and
duplicates among them, never stand on both sides. The price: the share held out is met only about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def fold(text: str) -> str:
    """Without differences in case and white space."""
    return " ".join(text.casefold().split())


def content_hash(row: Mapping[str, Any]) -> bytes:
    """SHA-256 of all that a row says, folded: the same for rows that are duplicates."""
    return hashlib.sha256(json.dumps(_folded(row), sort_keys=True, ensure_ascii=False).encode()).digest()


def rows_hash(rows: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of rows in their order, in hexadecimal; empty for none."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest() if rows else ""


def is_held_out(row: Mapping[str, Any], fraction: float, seed: int) -> bool:
    """Whether a row is of the evaluation side."""
    drawn = hashlib.sha256(f"{seed}\0{fold(opening(row))}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") < fraction * 2**64


def opening(row: Mapping[str, Any]) -> str:
    """What a row begins with: its text, its prompt, or the first thing that the user says.

    Of a conversation only the beginning counts, as its continuations repeat it.
    """
    value = row.get("text") or row.get("prompt") or row.get("messages") or ""
    if isinstance(value, str):
        return value
    return next((str(turn["content"]) for turn in value if turn["role"] == "user"), "")


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, Mapping):
        return {key: _folded(item) for key, item in value.items()}
    return [_folded(item) for item in value] if isinstance(value, (list, tuple)) else value
