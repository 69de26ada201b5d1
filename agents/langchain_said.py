"""What LangChain hands to an agent as task, history and taint; and an agent's result as LangChain's message.

Taint must outlast the way through another library. It stands in the answer's message itself, so that it goes on with
the messages even where a graph's state has no place for it. What others wrote is untrusted unless it is vouched for:
results of tools, and what a model said that may have read anything. A human's message counts as the user's, and a
system message as the developer's, whoever put them there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.prompt_values import PromptValue
from pydantic_core import to_jsonable_python

from agents.errors import NoAnswer
from agents.events import RunResult, Spent
from decoder.errors import UsageError
from decoder.langchain_messages import to_messages
from decoder.types import Message

STEP = "running an agent in LangChain"
UNTRUSTED = "hearth_untrusted"


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent is given.

    Attributes:
        task: the last thing that the user said, in their own words, for the approver too.
        instructions: the system messages, which are the developer's.
        messages: the conversation before the task. Where others have spoken since the user did (nodes of a graph), it
            is the whole conversation, and the task is put again after it.
        untrusted: text that nobody vouches for is in it.
    """

    task: str
    instructions: str = ""
    messages: tuple[Message, ...] = ()
    untrusted: bool = False


def read_input(given: Any, vouched: bool = False) -> Said:
    """Text, a message, messages, a prompt's value, or a mapping with `input` or `messages` (a graph's state).

    Args:
        vouched: the history holds nothing that anybody else wrote, unless it is marked.

    Raises:
        UsageError: there is no task in it, or a message that no decoder takes.
    """
    if isinstance(given, str):
        return Said(_task(given))
    marked = bool(_field(given, "untrusted"))
    if isinstance(task := _field(given, "input"), str):
        earlier = _messages(_field(given, "chat_history") or ())
        return _said(task, earlier, marked, vouched)
    messages = _messages(given if (found := _field(given, "messages")) is None else found)
    asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
    if asked is None:
        raise UsageError(STEP, "no message is the user's", "Give text, or messages with the user's task among them")
    (task,) = to_messages([messages[asked]])
    if not isinstance(task.content, str):
        raise UsageError(STEP, "a task is text, and this one holds a picture", "Put pictures into the history")
    earlier = messages if asked < len(messages) - 1 else messages[:asked]
    return _said(task.content, earlier, marked, vouched)


def to_message(result: RunResult, name: str) -> AIMessage:
    """The answer as a message: with its taint, its cost, and the run that it is of. Raises NoAnswer."""
    answer = answer_of(result)
    content = answer if isinstance(answer, str) else json.dumps(to_jsonable_python(answer), ensure_ascii=False)
    return AIMessage(
        content,
        name=name,
        additional_kwargs={UNTRUSTED: result.untrusted},
        response_metadata={"model_provider": "hearth", "run_id": result.run_id, "ended": result.ended},
        usage_metadata=_usage(result.spent),
    )


def answer_of(result: RunResult) -> Any:
    """The answer. Raises NoAnswer, which carries the result."""
    if result.ok:
        return result.answer
    error = NoAnswer(STEP, f"the run ended without an answer ({result.ended})", "Raise the agent's budget")
    error.result = result
    raise error


def _said(task: str, earlier: list[BaseMessage], marked: bool, vouched: bool) -> Said:
    system = [str(message.text) for message in earlier if isinstance(message, SystemMessage)]
    history = [message for message in earlier if not isinstance(message, SystemMessage)]
    untrusted = marked or any(_untrusted(message, vouched) for message in history)
    return Said(_task(task), "\n\n".join(system), to_messages(history), untrusted)


def _untrusted(message: BaseMessage, vouched: bool) -> bool:
    mark = message.additional_kwargs.get(UNTRUSTED)
    if mark is not None:
        return bool(mark)
    users = isinstance(message, HumanMessage) or (isinstance(message, ChatMessage) and message.role == "user")
    return not vouched and not users


def _task(text: str) -> str:
    if not text.strip():
        raise UsageError(STEP, "the task is empty", "Say what is to be done")
    return text


def _field(given: Any, name: str) -> Any:
    """Of a mapping, or of an object such as a graph's state that is a model or a dataclass."""
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _messages(given: Any) -> list[BaseMessage]:
    if isinstance(given, PromptValue):
        return given.to_messages()
    if isinstance(given, BaseMessage):
        return [given]
    try:
        if isinstance(given, Mapping) or not isinstance(given, Iterable):
            raise ValueError(f"{type(given).__name__} holds neither input nor messages")
        return list(convert_to_messages(list(given)))
    except (ValueError, NotImplementedError) as error:
        cause = f"the input cannot be read: {str(error).splitlines()[0]}"
        raise UsageError(STEP, cause, "Give text, messages, or a mapping with `input` or `messages`") from error


def _usage(spent: Spent) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=spent.prompt_tokens,
        output_tokens=spent.completion_tokens,
        total_tokens=spent.tokens,
        input_token_details=InputTokenDetails(cache_read=spent.cached_tokens),
    )
