"""What all sessions share in this process: the embedding model, open knowledge bases, decoders. Loaded once.

A knowledge base is given for as long as the process lives, so pages never close one. `let_go` closes one that is to
be deleted.
"""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from decoder import tiny
from ui.cli import wiring
from ui.cli.wiring import DecoderChoice

if TYPE_CHECKING:
    from decoder.base import Decoder
    from rag.knowledge import KnowledgeBase

SWITCH_SECONDS = 0.001
WARM_SECONDS = 2.0
MOST_DECODERS = 64
"""Kept at once: a name of a model can be typed."""
_lock = threading.RLock()
_choosing = threading.RLock()
"""Of its own, since looking for a decoder may ask servers that do not answer."""
_bases: dict[str, KnowledgeBase] = {}
_decoders: dict[DecoderChoice, Decoder] = {}
TINY = DecoderChoice(embedded=Path(tiny.NAME))


def knowledge_base(name: str) -> KnowledgeBase:
    """The knowledge base of this full name, without a decoder; safe to share between threads.

    Raises UsageError for an impossible name.
    """
    with _lock:
        if name not in _bases:
            beside = next(iter(_bases.values()), None)
            _bases[name] = wiring.open_knowledge_base(name, beside=beside)
        return _bases[name]


def let_go(name: str) -> None:
    """Close a knowledge base, as before it is deleted."""
    with _lock:
        base = _bases.pop(name, None)
    if base is not None:
        base.close()


def decoder(choice: DecoderChoice = DecoderChoice()) -> Decoder | None:  # noqa: B008  # frozen
    """The decoder that is meant, kept for all who mean it; None where there is none (looked for again next time).

    Raises UsageError as `wiring.find_decoder`.
    """
    with _choosing:
        found = _decoders.get(choice)
        if found is None:
            found = wiring.find_decoder(choice)
            if found is not None:
                while len(_decoders) >= MOST_DECODERS:
                    _decoders.pop(next(iter(_decoders)))  # whoever uses it still holds it
                _decoders[choice] = found
        return found


def tiny_decoder() -> Decoder | None:
    """hearth-tiny in this process, one for all, loaded at its first request; None where it cannot run."""
    return decoder(TINY) if tiny.is_usable() else None


def decoder_or_tiny() -> Decoder | None:
    """The decoder that is set or runs, else hearth-tiny. Raises UsageError as `wiring.find_decoder`."""
    found = decoder()
    return tiny_decoder() if found is None else found


def is_tiny(found: Decoder | None) -> bool:
    """Whether it is hearth-tiny of this process."""
    return found is not None and found is _decoders.get(TINY)


def forget_decoders() -> None:
    """Look for decoders anew, as after a server was started or stopped. Those in use are closed by nobody."""
    with _choosing:
        _decoders.clear()


def warm() -> None:
    """Load the embedding model in the background, so that the first question need not wait; the first page comes first.

    From then on threads take turns more often, so that none waits long for the interpreter while many pages are drawn.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    loading = threading.Timer(WARM_SECONDS, _load)
    loading.daemon = True
    loading.start()


def _load() -> None:
    from contextlib import suppress

    from decoder.errors import HearthError

    with suppress(HearthError):
        knowledge_base(wiring.DEFAULT).embedder.embed_query("ready")
    gc.collect()
    gc.freeze()  # what is loaded now stays; else each full collection would walk all of it, and hold all sessions
