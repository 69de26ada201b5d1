"""A chat completion as it is asked for: OpenAI's JSON to our types, strictly. Nothing is ignored that would matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from decoder.errors import UsageError
from decoder.types import Constraint, ImagePart, Message, Part, Role, Sampling, TextPart, Tool, ToolCall
from ui.api.errors import ApiRefusal, bad
from ui.api.fields import Fields, flag, integer, items, number, table, text

MOST_MESSAGES = 512
MOST_PARTS = 64
MOST_TOOLS = 128
MOST_CHOICES = 16
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


PLAIN = Sampling()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion.

    Attributes:
        stream: send it piece by piece.
        include_usage: end the stream with the tokens that it cost.
        unchecked: let a knowledge base stream its answer while it is written, before it has been checked.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = PLAIN
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    include_usage: bool = False
    unchecked: bool = False


def read_chat(body: Fields) -> ChatRequest:
    """The request in a JSON object; raises ApiRefusal (400) that names the field."""
    messages = items(body, "messages", MOST_MESSAGES)
    if not messages:
        raise bad("messages", "give at least one")
    return ChatRequest(
        model=text(body, "model"),
        messages=tuple(_message(each, f"messages[{i}]") for i, each in enumerate(messages)),
        sampling=_sampling(body),
        constraint=_constraint(table(body, "response_format")),
        tools=_tools(body),
        stream=flag(body, "stream"),
        include_usage=flag(table(body, "stream_options"), "include_usage"),
        unchecked=flag(table(body, "hearth"), "unchecked"),
    )


def _sampling(body: Fields) -> Sampling:
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else items(body, "stop", 16)
    if not all(isinstance(each, str) and each for each in stops):
        raise bad("stop", "give texts")
    most = integer(body, "max_completion_tokens")
    n = integer(body, "n")
    if n is not None and n > MOST_CHOICES:
        raise bad("n", f"give at most {MOST_CHOICES}")
    try:
        return Sampling(
            temperature=number(body, "temperature"),
            top_p=number(body, "top_p"),
            n=1 if n is None else n,
            seed=integer(body, "seed"),
            stop=tuple(stops),
            max_tokens=integer(body, "max_tokens") if most is None else most,
            presence_penalty=number(body, "presence_penalty"),
            frequency_penalty=number(body, "frequency_penalty"),
            logprobs=(integer(body, "top_logprobs") or 0) if flag(body, "logprobs") else None,
        )
    except ApiRefusal:
        raise
    except UsageError as error:
        raise bad(error.cause.partition("=")[0], error.cause) from error


def _constraint(wanted: Fields) -> Constraint | None:
    kind = text(wanted, "type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return Constraint("json", {"type": "object"})
    if kind != "json_schema":
        raise bad("response_format", "give text, json_object or json_schema")
    schema = table(table(wanted, "json_schema"), "schema")
    if not schema:
        raise bad("response_format", "json_schema has no schema")
    return Constraint("json", schema)


def _tools(body: Fields) -> tuple[Tool, ...]:
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none"):
        raise bad("tool_choice", "give auto or none")
    found = []
    for entry in items(body, "tools", MOST_TOOLS):
        if not isinstance(entry, dict) or entry.get("type") != "function":
            raise bad("tools", "give functions")
        function = table(entry, "function")
        found.append(Tool(text(function, "name"), text(function, "description", ""), table(function, "parameters")))
    return () if choice == "none" else tuple(found)


def _message(entry: Any, place: str) -> Message:
    if not isinstance(entry, dict):
        raise bad(place, "give an object")
    role = ROLES.get(str(entry.get("role")))
    if role is None:
        raise bad(f"{place}.role", f"give one of {', '.join(ROLES)}")
    calls = tuple(_tool_call(each, place) for each in items(entry, "tool_calls", MOST_TOOLS))
    content = entry.get("content")
    if content is None and not (role == "assistant"):
        raise bad(f"{place}.content", "give a text")
    return Message(
        cast("Role", role),
        content or "" if content is None or isinstance(content, str) else _parts(content, f"{place}.content"),
        tool_calls=calls,
        tool_call_id=text(entry, "tool_call_id", "") or None,
        name=text(entry, "name", "")[:64] or None,
    )


def _tool_call(entry: Any, place: str) -> ToolCall:
    if not isinstance(entry, dict):
        raise bad(f"{place}.tool_calls", "give objects")
    function = table(entry, "function")
    return ToolCall(text(entry, "id"), text(function, "name"), text(function, "arguments", "{}"))


def _parts(content: Any, place: str) -> str | tuple[Part, ...]:
    """Text parts as one text; with pictures among them, as parts."""
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise bad(place, "give a text or a list of parts")
    parts = tuple(_part(each, place) for each in items({place: content}, place, MOST_PARTS))
    if any(isinstance(part, ImagePart) for part in parts):
        return parts
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _part(entry: Fields, place: str) -> Part:
    """A picture comes in the request itself: an address would send the decoder's server to fetch it."""
    if entry.get("type") == "text":
        return TextPart(text(entry, "text"))
    if entry.get("type") != "image_url":
        raise bad(place, "give parts of type text or image_url")
    url = text(table(entry, "image_url"), "url")
    if not url.startswith("data:image/"):
        raise bad(place, "give pictures as data: URLs")
    return ImagePart(url)
