"""Carries out one call: a function in a thread or a coroutine, within its time, its result as bounded text.

Whatever the function raises becomes an observation. Knows nothing of decoders, and no policy.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from agents.events import Call, Observation
from agents.policy import is_plain
from agents.tool import Tool, ToolResult
from decoder.errors import HearthError

LONGEST_ERROR = 600
Redact = Callable[[str], str]


def validated(call: Call, tool: Tool) -> Mapping[str, Any] | str:
    """The arguments as the tool takes them, or what is wrong with them."""
    try:
        return tool.validate(call.arguments)
    except (ValueError, TypeError, RecursionError) as error:
        return f"The arguments are not valid: {_short(str(error))}"


async def carry_out(
    step: int, call: Call, tool: Tool, arguments: Mapping[str, Any], seconds: float | None, redact: Redact
) -> Observation:
    """Run the tool. Never raises what the tool raised; cancelling it cancels a coroutine, and abandons a thread.

    Args:
        seconds: of the run that are left; the tool's own timeout holds if it is shorter.
    """
    began = time.monotonic()
    limit = tool.timeout if seconds is None else min(tool.timeout, seconds)
    try:
        async with asyncio.timeout(limit):
            value = await call_function(tool.run, arguments)
    except TimeoutError:
        text, error, plain = _too_late(tool, limit), True, False
    except asyncio.CancelledError:
        raise
    except Exception as failure:  # noqa: BLE001  # a tool may raise anything, and the decoder is to read it
        text, error, plain = _failure(failure), True, False
    else:
        plain = not value.untrusted if isinstance(value, ToolResult) else is_plain(value)
        text, error = as_text(value.value if isinstance(value, ToolResult) else value), False
    shown, omitted = shorten(redact(text), tool.max_characters)
    untrusted = not (tool.trusted or plain)
    return Observation(step, call, shown, error, untrusted, omitted, time.monotonic() - began)


async def call_function(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """`function(**arguments)`: awaited when it is async, else in a thread of its own that nobody waits for at exit."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(**arguments)
    value = await _in_thread(function, arguments)
    return await value if inspect.isawaitable(value) else value


async def _in_thread(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result(value) if error is None else future.set_exception(error)

    def work() -> None:
        value: Any = None
        error: Exception | None = None
        try:
            value = context.run(function, **arguments)
        except StopIteration as failure:  # a future cannot hold one
            error = RuntimeError(f"StopIteration: {failure}")
        except BaseException as failure:  # noqa: BLE001  # SystemExit in a tool must not end the process unseen
            error = failure if isinstance(failure, Exception) else RuntimeError(f"{type(failure).__name__}: {failure}")
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:  # the loop is closed: nobody waits for the result
            return

    threading.Thread(target=work, name="hearth-tool", daemon=True).start()
    return await future


def as_text(value: Any) -> str:
    """A result as the decoder reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    dump = getattr(value, "model_dump_json", None)
    if callable(dump):
        return str(dump())
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return str(value)


def shorten(text: str, limit: int) -> tuple[str, int]:
    """The text within `limit` characters, its beginning and end kept, and how many were left out."""
    if len(text) <= limit:
        return text, 0
    head = limit * 3 // 4
    tail = limit - head
    omitted = len(text) - limit
    return f"{text[:head]}\n[… {omitted:,} characters left out …]\n{text[len(text) - tail :]}", omitted


def _too_late(tool: Tool, limit: float) -> str:
    unsure = "" if tool.effect == "read" else " It may have taken effect all the same."
    return f"It did not end within {limit:g} s.{unsure}"


def _failure(error: Exception) -> str:
    return _short(str(error) if isinstance(error, HearthError) else f"{type(error).__name__}: {error}")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 1]}…"
