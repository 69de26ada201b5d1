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
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from agents.events import Call, Observation
from agents.policy import is_plain
from agents.tool import Tool, ToolResult
from decoder.errors import HearthError

T = TypeVar("T")
LONGEST_ERROR = 600
GRACE = 1.0
"""Seconds that a cancelled tool has to end before it is left behind."""
ENDS = (SystemExit, KeyboardInterrupt)
"""What a function may raise that would end the event loop, and everything on it."""
Redact = Callable[[str], str]


class OutOfTime(Exception):
    """What was awaited did not end in time. Not TimeoutError, which a tool may raise for reasons of its own."""


def validated(call: Call, tool: Tool, redact: Redact) -> Mapping[str, Any] | str:
    """The arguments as the tool takes them, or what is wrong with them."""
    try:
        return tool.validate(call.arguments)
    except (Exception, *ENDS) as error:  # noqa: BLE001  # a validator is the tool's own code, and the decoder is to read it
        return f"The arguments are not valid: {short(redact(str(error)))}"


async def carry_out(
    step: int, call: Call, tool: Tool, arguments: Mapping[str, Any], seconds: float | None, redact: Redact
) -> Observation:
    """Run the tool. Never raises what the tool raised; cancelling it cancels a coroutine, and abandons a thread.

    Secrets are taken out before anything is shortened, for half a secret would not be found.

    Args:
        seconds: of the run that are left; the tool's own timeout holds if it is shorter.
    """
    began = time.monotonic()
    limit = tool.timeout if seconds is None else min(tool.timeout, seconds)
    try:
        value = await within(limit, call_function(tool.run, arguments))
        plain = not value.untrusted if isinstance(value, ToolResult) else is_plain(value)
        text, error = redact(as_text(value.value if isinstance(value, ToolResult) else value)), False
    except OutOfTime:
        text, error, plain = _too_late(tool, limit), True, False
    except Exception as failure:  # noqa: BLE001  # a tool may raise anything, and the decoder is to read it
        text, error, plain = short(redact(_failure(failure))), True, False
    shown, omitted = shorten(text, tool.max_characters)
    untrusted = not (tool.trusted or plain)
    return Observation(step, call, shown, error, untrusted, omitted, time.monotonic() - began)


async def within(limit: float, awaited: Coroutine[Any, Any, T]) -> T:
    """What `awaited` gives. It is cancelled when time is up or when this is; if it does not heed that, left behind.

    Raises OutOfTime, and RuntimeError when `awaited` cancelled itself.
    """
    task, done = asyncio.create_task(awaited), False
    try:
        done = bool((await asyncio.wait([task], timeout=limit))[0])
    finally:
        if not done:
            await _cancel(task)
    if not done:
        raise OutOfTime
    if task.cancelled():
        raise RuntimeError("it cancelled itself")
    return task.result()


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=GRACE)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, or asyncio would report it as forgotten


async def call_function(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """`function(**arguments)`: awaited when it is async, else in a thread of its own that nobody waits for at exit."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        value: Any = function(**arguments)
    else:
        value = await _in_thread(function, arguments)
    try:
        return await value if inspect.isawaitable(value) else value
    except ENDS as failure:
        raise RuntimeError(f"{type(failure).__name__}: {failure}") from failure


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
    return str(error) if isinstance(error, HearthError) else f"{type(error).__name__}: {error}"


def short(text: str) -> str:
    """An error's text, bounded."""
    return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 1]}…"
