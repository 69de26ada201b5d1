"""The body of a request as a JSON object, bounded in size, time and depth."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ui.api.errors import ApiRefusal
from ui.api.gate import ApiLimits


async def read_object(request: Request, limits: ApiLimits) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        ApiRefusal: 415 for another type (which a web page could send without asking), 413 for too much, 408 for too
            slow, 400 for no JSON object of Unicode text.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiRefusal(415, "send Content-Type: application/json", "unsupported_media_type")
    try:
        async with asyncio.timeout(limits.body_seconds):
            data = await _read(request, limits.body)
    except TimeoutError:
        raise ApiRefusal(408, "the request's body did not come in time", "request_timeout") from None
    try:
        body = json.loads(data, parse_constant=_refuse)
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise ApiRefusal(400, "the body is no JSON", "invalid_json") from None
    if not isinstance(body, dict):
        raise ApiRefusal(400, "the body is no JSON object", "invalid_json")
    return body


async def _read(request: Request, most: int) -> bytes:
    too_large = ApiRefusal(413, f"the body is larger than {most} bytes", "request_too_large")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > most:
        raise too_large
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise too_large
    except ClientDisconnect:
        raise ApiRefusal(400, "the client went away", "client_gone") from None
    return bytes(data)


def _refuse(constant: str) -> None:
    raise ValueError(constant)
