"""How long a conversation is in tokens: counted by the decoder where there is one that counts, else estimated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decoder.base import run_sync
from decoder.errors import HearthError

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message

SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of a conversation and of its prefix; `exact` when the decoder counted them."""

    whole: int
    prefix: int
    exact: bool


def count(decoder: Decoder | None, messages: Sequence[Message], prefix: Sequence[Message]) -> Counted:
    """Both counts. A decoder that does not answer in time is no hindrance: then they are estimates."""
    if decoder is not None:
        try:
            return run_sync(asyncio.wait_for(_counted(decoder, messages, prefix), SECONDS))
        except (HearthError, TimeoutError):
            pass
    return Counted(_estimate(messages), _estimate(prefix), False)


async def _counted(decoder: Decoder, messages: Sequence[Message], prefix: Sequence[Message]) -> Counted:
    exact = await decoder.acounts_exactly()
    whole = await decoder.acount_tokens(list(messages))
    return Counted(whole, await decoder.acount_tokens(list(prefix)) if prefix else 0, exact)


def _estimate(messages: Sequence[Message]) -> int:
    """One per three bytes, as decoders estimate that cannot count."""
    return sum(len(message.text.encode()) // 3 + 8 for message in messages)
