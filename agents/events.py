"""What happens in a run, as frozen data: one union, streamed, journalled, traced and folded into the next prompt.

A run is its events: `context.py` makes the decoder's messages from them and nothing else, so that a run can be
resumed, forked and replayed from its transcript.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from decoder.types import FinishReason, Message, Usage

Effect: TypeAlias = Literal["read", "write", "egress"]
EFFECTS: tuple[Effect, ...] = ("read", "write", "egress")
Mode: TypeAlias = Literal["constrained", "native", "text"]
Ended: TypeAlias = Literal["answer", "steps", "tokens", "seconds", "cost", "truncated"]
Purpose: TypeAlias = Literal["thought", "action", "turn"]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to be called. `arguments` are as generated; they are validated before the tool sees them."""

    id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has cost so far.

    Attributes:
        steps: turns of the loop; prompt_tokens, cached_tokens, completion_tokens: summed over all decoder calls
            (of a run's workers too); seconds: wall clock; cost: money, in the budget's own currency.
        approvals_asked, approvals_given: how often the policy asked, and how often the answer was yes.
        truncations: outputs cut off by max_tokens; repairs: actions that had to be asked for again.
    """

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    tool_calls: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    approvals_asked: int = 0
    approvals_given: int = 0
    truncations: int = 0
    repairs: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: with those that follow, all that the run's prompts are made from.

    Attributes:
        system: the whole system message.
        untrusted: the history holds text that nobody vouches for.
        thinking, parallel: a thought comes before an action, and an action may be several calls.
        setup: sha256 of the tools' schemas and effects and of the answer's schema; a run goes on with the same.
        forked_from: "run id:step" of the run that it shares its first steps with.
    """

    run_id: str
    agent: str
    task: str
    system: str
    mode: Mode
    model: str = ""
    tools: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()
    untrusted: bool = False
    thinking: bool = True
    parallel: bool = False
    setup: str = ""
    forked_from: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on here after it was interrupted, from its transcript."""

    step: int


@dataclass(frozen=True, slots=True)
class DecoderCalled:
    """A call of the decoder has ended.

    Attributes:
        purpose: "turn" is a thought and an action in one.
        prompt: sha256 of the messages that were sent (`context.prompt_sha256`), so that a replay can tell.
    """

    step: int
    purpose: Purpose
    usage: Usage
    seconds: float
    finish_reason: FinishReason = "stop"
    model: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """A piece of a thought as it is generated; never journalled."""

    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A whole thought. `truncated`: it was cut off by its token limit, which is no fault."""

    step: int
    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What the decoder decided to do: one call, or several that may run side by side. `text` is what it wrote."""

    step: int
    calls: tuple[Call, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Truncated:
    """An action was cut off by max_tokens and is not used. `text` is its beginning."""

    step: int
    text: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Unparsable:
    """An action could not be read (only where the decoder cannot be constrained). It is asked for once more."""

    step: int
    text: str
    cause: str


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """The policy wants a yes before this call."""

    step: int
    call: Call
    effect: Effect
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """The answer to `ApprovalAsked`. `approved` False becomes an observation that says so."""

    step: int
    call: Call
    approved: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call begins. In a transcript, one without its observation may or may not have taken effect."""

    step: int
    call: Call
    effect: Effect


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a call.

    Attributes:
        text: what the decoder is shown, within the tool's budget.
        error: the call failed, was refused by the policy, or its arguments were invalid.
        untrusted: the text may have been written by anyone; it taints what follows.
        omitted: characters left out for the budget.
        seconds: how long the tool ran.
        ran: the tool was called at all.
    """

    step: int
    call: Call
    text: str
    error: bool = False
    untrusted: bool = True
    omitted: int = 0
    seconds: float = 0.0
    ran: bool = True


@dataclass(frozen=True, slots=True)
class Hint:
    """A remark of the loop itself to the decoder: a repeated call, a budget at its end."""

    step: int
    text: str
    force_answer: bool = False


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The answer: text, or the object that the agent's output type asks for, as JSON data."""

    step: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Nested:
    """An event of an agent that this one called, by the call `call_id`."""

    step: int
    call_id: str
    agent: str
    event: Event


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        answer: what `FinalAnswer` holds (an instance of the agent's output type where one was given), or None.
        ended: "answer", or the budget that ended it; "truncated" when actions were cut off again and again.
            What a decoder could not do is raised as an error of its own, and the run can be resumed.
        spent: what it cost.
        messages: the conversation. A next run goes on from it with `after=result`, which carries the taint too.
        untrusted: text that nobody vouches for is in the conversation.
    """

    run_id: str
    answer: Any
    ended: Ended
    spent: Spent = field(default_factory=Spent)
    messages: tuple[Message, ...] = ()
    untrusted: bool = False

    @property
    def ok(self) -> bool:
        """There is an answer."""
        return self.ended == "answer"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event of every run."""

    result: RunResult


Event: TypeAlias = (
    RunStarted
    | Resumed
    | DecoderCalled
    | ThoughtDelta
    | Thought
    | Action
    | Truncated
    | Unparsable
    | ApprovalAsked
    | ApprovalGiven
    | ToolStarted
    | Observation
    | Hint
    | FinalAnswer
    | Nested
    | RunEnded
)
