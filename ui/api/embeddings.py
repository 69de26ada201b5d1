"""`POST /v1/embeddings`: vectors of the model that the knowledge bases use, as numbers or as base64."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api.body import read_object
from ui.api.errors import ApiRefusal, bad
from ui.api.fields import Fields, integer, items, text
from ui.api.gate import ApiLimits
from ui.api.models import Models
from ui.api.streams import unless_gone

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.embed import Embedder

BATCH = 64
"""Texts that are embedded between two looks at whether the client still waits."""
MARKERS = 2
"""Tokens that the model adds around a text."""


async def embeddings(request: Request) -> Response:
    """Vectors of texts, in order; raises what `ui.api.errors` describes."""
    models: Models = request.app.state.models
    limits: ApiLimits = request.app.state.limits
    body = await read_object(request, limits)
    model, texts, encoding = text(body, "model"), read_texts(body, limits), text(body, "encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise bad("encoding_format", "give float or base64")
    models.check_embedder(model)
    embedder = models.embedder
    work = _embedded(embedder, texts, integer(body, "dimensions"))
    vectors, tokens = await unless_gone(request.receive, work, limits.seconds)
    data = [
        {"object": "embedding", "index": i, "embedding": as_json(vector, encoding)} for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": model, "usage": usage})


def read_texts(body: Fields, limits: ApiLimits) -> list[str]:
    """The field `input`: one text or several; raises ApiRefusal for token ids, which are another model's."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else items(body, "input", limits.inputs)
    if not texts or not all(isinstance(each, str) and each.strip() for each in texts):
        raise bad("input", "give a text or a list of texts, none of them empty; token ids are not read")
    return texts


def as_json(vector: NDArray[np.float32], encoding: str) -> Any:
    """A vector as a list of numbers, or as base64 of its float32 in little-endian order."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return vector.tolist()


async def _embedded(
    embedder: Embedder, texts: list[str], dimensions: int | None
) -> tuple[list[NDArray[np.float32]], int]:
    """The vectors and the tokens that they cost. A text that the model would cut off is refused, not cut off."""
    dimension, most = await asyncio.to_thread(lambda: (embedder.dimension, embedder.max_tokens - MARKERS))
    if dimensions not in (None, dimension):
        raise bad("dimensions", f"this model has {dimension}")
    counts = await asyncio.to_thread(lambda: [embedder.count(each) for each in texts])
    for position, count in enumerate(counts):
        if count > most:
            cause = f"input {position} has {count} tokens, the model reads {most}"
            raise ApiRefusal(400, cause, "context_length_exceeded", "input")
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), BATCH):
        found.extend(await asyncio.to_thread(embedder.embed, texts[start : start + BATCH]))
    return found, sum(counts)
