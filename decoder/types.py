"""What goes into a decoder and what comes out: frozen data, no behaviour beyond reading it.

Knows nothing of any server's wire format (that is `wire.py`) nor of tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from decoder.errors import UsageError

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
ConstraintKind: TypeAlias = Literal["regex", "choice", "json", "grammar", "structural_tag"]
CONSTRAINT_KINDS: tuple[ConstraintKind, ...] = ("regex", "choice", "json", "grammar", "structural_tag")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A run of text inside a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image inside a message: an http(s) address or a `data:` URL."""

    url: str


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `arguments` is a JSON object as text, exactly as generated."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        content: text, or text and image parts in order.
        tool_calls: what an assistant turn asked to be called.
        tool_call_id: for role "tool", the call that this is the result of.
        reasoning: the model's reasoning content where the server separates it.
        name: an optional name of the speaker or tool.
    """

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined; images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


def system(text: str) -> Message:
    """A system message."""
    return Message("system", text)


def user(text: str) -> Message:
    """A user message."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """An assistant message."""
    return Message("assistant", text)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Fields left None use the decoder's own default.

    Attributes:
        temperature: 0 is greedy; at most 2.
        top_p: nucleus mass in (0, 1] (Holtzman et al. 2020).
        top_k: keep the k likeliest tokens; -1 keeps all.
        min_p: keep tokens of at least this fraction of the likeliest's probability, in [0, 1].
        n: completions of one prompt, at least 1.
        seed: makes a decoder repeat itself where it can.
        stop: generation ends before any of these strings.
        max_tokens: most tokens of one completion, at least 1.
        logprobs: also return this many alternatives per token (0: the chosen token's only).
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):  # type: ignore[unreachable]  # callers without a type checker
            raise UsageError("sampling", "stop is a string", "Give a tuple of strings")
        ranges: tuple[tuple[str, float | None, float, float], ...] = (
            ("temperature", self.temperature, 0, 2),
            ("top_p", self.top_p, 1e-9, 1),
            ("min_p", self.min_p, 0, 1),
            ("n", self.n, 1, 4096),
            ("max_tokens", self.max_tokens, 1, 2**31),
            ("top_k", self.top_k, -1, 2**31),
            ("presence_penalty", self.presence_penalty, -2, 2),
            ("frequency_penalty", self.frequency_penalty, -2, 2),
            ("repetition_penalty", self.repetition_penalty, 1e-9, 1e9),
            ("logprobs", self.logprobs, 0, 1000),
        )
        for name, value, low, high in ranges:
            if value is not None and not low <= value <= high:
                raise UsageError("sampling", f"{name}={value} is outside [{low:g}, {high:g}]", "Choose a value inside")


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the output must satisfy, enforced token by token. Build one with `decoder.constraint`.

    Attributes:
        kind: which language `value` is in.
        value: a pattern, a tuple of choices, a JSON schema, an EBNF grammar or a structural tag.
    """

    kind: ConstraintKind
    value: str | tuple[str, ...] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token with its natural-log probability and the alternatives asked for."""

    token: str
    logprob: float
    token_id: int | None = None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the decoder; `cached_tokens` of the prompt came from a prefix cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the n completions of a prompt."""

    text: str
    finish_reason: FinishReason
    index: int = 0
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A decoder's answer: n choices, in order of index, and what they cost."""

    choices: tuple[Choice, ...]
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    id: str = ""

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> FinishReason:
        """Why the first choice ended."""
        return self.choices[0].finish_reason

    @property
    def message(self) -> Message:
        """The first choice as the assistant's turn, ready to be appended to the conversation."""
        first = self.choices[0]
        return Message("assistant", first.text, tool_calls=first.tool_calls, reasoning=first.reasoning)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of choice `index`."""

    text: str
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """New reasoning content of choice `index`."""

    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of tool call number `position` of choice `index`; `arguments` are to be concatenated."""

    position: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every stream that ends well: the whole completion."""

    completion: Completion


Event: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | Finished
Prompt: TypeAlias = str | Sequence[Message]


def as_messages(prompt: Prompt) -> tuple[Message, ...]:
    """A string becomes one user message; a sequence is taken as it is. Raises UsageError when empty."""
    messages = (user(prompt),) if isinstance(prompt, str) else tuple(prompt)
    if not messages:
        raise UsageError("prompt", "no message was given", "Give at least one message")
    return messages
