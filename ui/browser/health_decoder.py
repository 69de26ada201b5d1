"""The decoder as it is now: which it is, whether it answers and how fast, what it serves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decoder.base import run_sync
from decoder.errors import HearthError
from ui.browser import opened

if TYPE_CHECKING:
    from decoder.base import Decoder

SECONDS = 5.0
"""A ping may take so long; an idle server needs a fraction of it."""


@dataclass(frozen=True, slots=True)
class DecoderStatus:
    """What is known of it.

    Attributes:
        place: its address, or its kind where it runs in this process; empty without one.
        model: the one that answers.
        models: all that it serves, adapters among them.
        latency: seconds of an answer of one token; None when none came.
        error, remedy: why none came.
    """

    place: str = ""
    model: str = ""
    models: tuple[str, ...] = ()
    latency: float | None = None
    error: str = ""
    remedy: str = ""


def decoder_status(seconds: float = SECONDS) -> DecoderStatus:
    """The decoder that a page would use, pinged."""
    try:
        decoder = opened.decoder()
    except HearthError as error:
        return DecoderStatus(error=error.cause, remedy=error.remedy)
    if decoder is None:
        return DecoderStatus()
    place = str(getattr(decoder, "base_url", type(decoder).__name__))
    try:
        return run_sync(asyncio.wait_for(_pinged(decoder, place), seconds))
    except HearthError as error:
        return DecoderStatus(place, decoder.model, error=error.cause, remedy=error.remedy)
    except TimeoutError:
        return DecoderStatus(place, decoder.model, error=f"no answer within {seconds:g} s", remedy="It may be busy")


async def _pinged(decoder: Decoder, place: str) -> DecoderStatus:
    from decoder.types import Sampling

    listing = getattr(decoder, "amodels", None)
    models = tuple(await listing()) if listing is not None else ()
    started = time.perf_counter()
    await decoder.acomplete("ping", sampling=Sampling(max_tokens=1, temperature=0))
    return DecoderStatus(place, decoder.model, models or (decoder.model,), time.perf_counter() - started)
