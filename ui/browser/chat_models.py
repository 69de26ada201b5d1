"""Which models the decoder's server lists. Asked in the background: a page never waits long for a server that hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace

from decoder import alias
from decoder.base import run_sync
from decoder.errors import DecoderTimeout, HearthError
from decoder.settings import home
from ui.browser import opened

KEPT_SECONDS, WAIT_SECONDS, FIRST_WAIT_SECONDS = 10.0, 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Models:
    """What can write answers.

    Attributes:
        decoder: there is one in the settings, or a server runs.
        names: what its server lists, base models and adapters; empty where it does not tell.
        promoted: what answers in the first one's place; empty for nothing.
        problem: why nothing could be asked; None when all is well.
        asking: the first look is still under way.
    """

    decoder: bool = False
    names: tuple[str, ...] = ()
    promoted: str = ""
    problem: HearthError | None = None
    asking: bool = False


class _Looked:
    """The last look at one home's decoder."""

    def __init__(self) -> None:
        self.models, self.at = Models(asking=True), float("-inf")
        self.done = threading.Event()
        self.looking = False


_lock = threading.Lock()
_looked: dict[str, _Looked] = {}


def models() -> Models:
    """As they were when last looked, about 10 s ago at most; the first look is waited for, half a second at most."""
    with _lock:
        looked = _looked.setdefault(str(home()), _Looked())
        if not looked.looking and time.monotonic() - looked.at >= KEPT_SECONDS:
            looked.looking = True
            threading.Thread(target=_look, args=(looked,), name="hearth-ui-models", daemon=True).start()
    looked.done.wait(FIRST_WAIT_SECONDS)
    return looked.models


def forget() -> None:
    """Look anew at the next call."""
    with _lock:
        _looked.clear()


def _look(looked: _Looked) -> None:
    try:
        looked.models = _found()
    except DecoderTimeout as error:  # it is busy, or we are: what it listed last is the best that is known
        looked.models = replace(
            looked.models, decoder=True, problem=None if looked.models.names else error, asking=False
        )
    except HearthError as error:
        looked.models = Models(decoder=True, problem=error)
    finally:
        looked.at, looked.looking = time.monotonic(), False
        looked.done.set()


def _found() -> Models:
    decoder = opened.decoder()
    if decoder is None:
        return Models()
    ask = getattr(decoder, "amodels", None)
    if ask is None:
        return Models(decoder=True, names=(decoder.model,) if decoder.model else ())

    async def listed() -> tuple[str, ...]:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return tuple(await ask())
        except TimeoutError:
            cause = f"the decoder's server did not answer within {WAIT_SECONDS:g} s"
            raise DecoderTimeout("listing the models", cause, "Look at its load or its log") from None

    names = run_sync(listed())
    promoted = alias.resolve(names[0]) if names else ""
    return Models(decoder=True, names=names, promoted=promoted if names and promoted != names[0] else "")
