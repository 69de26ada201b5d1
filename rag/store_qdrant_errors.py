"""What Qdrant's client raises, as our own errors: the server is down, refuses the key, or is no such server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError
from rag.errors import StoreFailed, StoreUnreachable

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

OLDEST = (1, 11)
"""The first server with tenants and UUIDs among its payload indexes."""
START = "Start it (docker compose up qdrant), or set HEARTH_RAG_QDRANT_URL to where it is"
REFUSED = {401, 403, "UNAUTHENTICATED", "PERMISSION_DENIED"}
BUSY = {429, 502, 503, 504, "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}


@contextmanager
def qdrant_errors(step: str) -> Iterator[None]:
    """Whatever the client raises becomes StoreFailed; our own errors pass.

    Raises:
        StoreUnreachable: no server answers, or not in time; the same request may succeed later.
        StoreFailed: everything else.
    """
    try:
        yield
    except HearthError:
        raise
    except Exception as error:
        raise _typed(step, error) from error


def check_version(client: QdrantClient) -> None:
    """Raises StoreFailed when the server is too old, or is no Qdrant."""
    step = "connecting to Qdrant"
    with qdrant_errors(step):
        version = str(client.info().version)
        try:
            found = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
        except ValueError:
            found = OLDEST  # a development build
        if found < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise StoreFailed(step, f"the server is Qdrant {version}", f"Upgrade it to {oldest} or later")


def _typed(step: str, error: Exception) -> StoreFailed:
    source = getattr(error, "source", error)  # the client wraps what its HTTP library raises
    status = _status(error)
    if status in REFUSED:
        return StoreFailed(step, f"the Qdrant server refuses the key ({status})", "Set HEARTH_RAG_API_KEY")
    if status == "DEADLINE_EXCEEDED" or _is(source, "TimeoutException"):
        return StoreUnreachable(step, "the Qdrant server did not answer in time", "Raise HEARTH_RAG_TIMEOUT")
    if status in BUSY or _is(source, "TransportError") or _is(source, "ResourceExhaustedResponse"):
        return StoreUnreachable(step, f"no Qdrant server answers ({_line(source)})", START)
    if _is(source, "ValidationError") or _is(source, "JSONDecodeError"):
        return StoreFailed(step, "what answers is no Qdrant server, or one of another version", START)
    return StoreFailed(step, _line(source), "See whether the server's disk is full, and its log")


def _status(error: Exception) -> Any:
    """The HTTP status of an error, or the name of its gRPC code; None when it has neither."""
    code = getattr(error, "code", None)
    return getattr(code(), "name", None) if callable(code) else getattr(error, "status_code", None)


def _is(error: object, name: str) -> bool:
    """By name: whether it is one of these is known without importing the libraries."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _line(error: Any) -> str:
    """The server's own words where there are some, on one short line."""
    try:
        said = json.loads(error.content)["status"]["error"]
    except (AttributeError, KeyError, TypeError, ValueError):
        details = getattr(error, "details", None)
        said = details() if callable(details) else str(error)
    lines = str(said).splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
