"""What an agent may do, decided in code: no prompt can loosen it.

A call is allowed, refused, or asked about. Taint: once text that nobody vouches for (documents, web pages, results of
tools) is in the conversation, whatever the decoder does next may be that text's wish, so calls that write or send
need a yes from outside. Knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agents.errors import PolicyError
from agents.events import EFFECTS, Call, Effect
from agents.tool import Tool


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What an approver is shown.

    Attributes:
        task: the user's own words, which text from outside cannot change.
        call, effect: what is to be done; the arguments are as the decoder wrote them.
        reason: why the policy asks.
        untrusted: text that nobody vouches for is in the conversation.
    """

    task: str
    call: Call
    effect: Effect
    reason: str
    untrusted: bool


Approver: TypeAlias = Callable[[ApprovalRequest], bool | Awaitable[bool]]
Verdict: TypeAlias = Literal["allow", "ask", "deny"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and its reason."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one agent.

    Attributes:
        allow: names of the tools that may be called at all; None allows all that the agent has.
        deny: names that may not, whatever `allow` says.
        ask_for: effects that always need approval.
        ask_when_untrusted: effects that need approval once untrusted text is in the conversation.
        limits: most calls of a tool in a run, by name.
        approve: asked for approval; without one, what needs approval is refused.
        approval_timeout: seconds to wait for an answer; none in time is a no.
    """

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    ask_for: frozenset[Effect] = frozenset()
    ask_when_untrusted: frozenset[Effect] = frozenset({"write", "egress"})
    limits: Mapping[str, int] | None = None
    approve: Approver | None = None
    approval_timeout: float = 300.0

    def __post_init__(self) -> None:
        for name in ("allow", "deny", "ask_for", "ask_when_untrusted"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise PolicyError("making a policy", f"{name} is one string", "Give a set of names")
            if value is not None:
                object.__setattr__(self, name, frozenset(value))
        if self.approve is not None and not callable(self.approve):
            raise PolicyError("making a policy", "approve cannot be called", "Give a function, such as approve_all")
        unknown = (self.ask_for | self.ask_when_untrusted) - set(EFFECTS)
        if unknown:
            raise PolicyError("making a policy", f"{sorted(unknown)} are no effects", f"Effects: {', '.join(EFFECTS)}")

    def decide(self, tool: Tool, untrusted: bool, calls_before: int = 0) -> Decision:
        """Whether `tool` may be called now.

        Args:
            untrusted: text that nobody vouches for is in the conversation.
            calls_before: how often this tool was called in this run.
        """
        if tool.name in self.deny or (self.allow is not None and tool.name not in self.allow):
            return Decision("deny", f"{tool.name} is not on the list of allowed tools")
        limit = (self.limits or {}).get(tool.name)
        if limit is not None and calls_before >= limit:
            return Decision("deny", f"{tool.name} was called {limit} times, which is the limit")
        if tool.effect in self.ask_for:
            return Decision("ask", f"{tool.name} has the effect {tool.effect}")
        if untrusted and tool.effect in self.ask_when_untrusted:
            return Decision("ask", f"{tool.name} has the effect {tool.effect}, and untrusted text has been read")
        return Decision("allow")


def approve_all(request: ApprovalRequest) -> bool:
    """An approver that says yes to everything: for tools whose effects are harmless wherever they are called from."""
    return True


def is_plain(value: Any) -> bool:
    """Whether a result cannot carry instructions: a number, a boolean or None."""
    return value is None or isinstance(value, (bool, int, float, complex))
