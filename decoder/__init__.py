"""The model at the centre: one interface for every way to run it. Knows nothing of documents, agents or training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from decoder.base import Decoder
from decoder.errors import (
    ConnectFailed,
    ConstraintIgnored,
    ConstraintRefused,
    ContextOverflow,
    DecoderError,
    DecoderTimeout,
    HearthError,
    MalformedResponse,
    MissingExtra,
    RateLimited,
    RequestRefused,
    ServerFailed,
    ServiceError,
    SettingsError,
    TruncatedStream,
    UnknownModel,
    UsageError,
)
from decoder.types import (
    Choice,
    Completion,
    Constraint,
    Event,
    Finished,
    ImagePart,
    Message,
    Prompt,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TextPart,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    assistant,
    system,
    user,
)

if TYPE_CHECKING:
    from decoder.client import ServedDecoder
    from decoder.embedded import EmbeddedDecoder
    from decoder.recorded import RecordedDecoder
    from decoder.scripted import ScriptedDecoder

# Imported when first asked for: the others need them not.
_LAZY = {
    "EmbeddedDecoder": "decoder.embedded",
    "RecordedDecoder": "decoder.recorded",
    "ScriptedDecoder": "decoder.scripted",
    "ServedDecoder": "decoder.client",
}

__all__ = [
    "Choice",
    "Completion",
    "ConnectFailed",
    "Constraint",
    "ConstraintIgnored",
    "ConstraintRefused",
    "ContextOverflow",
    "Decoder",
    "DecoderError",
    "DecoderTimeout",
    "EmbeddedDecoder",
    "Event",
    "Finished",
    "HearthError",
    "ImagePart",
    "MalformedResponse",
    "Message",
    "MissingExtra",
    "Prompt",
    "RateLimited",
    "ReasoningDelta",
    "RecordedDecoder",
    "RequestRefused",
    "Sampling",
    "ScriptedDecoder",
    "ServedDecoder",
    "ServerFailed",
    "ServiceError",
    "SettingsError",
    "TextDelta",
    "TextPart",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "TruncatedStream",
    "UnknownModel",
    "Usage",
    "UsageError",
    "assistant",
    "system",
    "user",
]


def __getattr__(name: str) -> Any:
    """The decoders themselves, on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'decoder' has no attribute {name!r}")
