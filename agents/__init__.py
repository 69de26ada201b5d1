"""What the decoder may do: tools, the ReAct loop, policy, memory, sandbox, MCP, teams, trace.

An action that cannot be parsed cannot be generated; what a tool may do is declared, and policy in code decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# At once, and before any other module does: importing agents.tool binds `agents.tool` to the module, once only.
from agents.tool import Tool, tool

if TYPE_CHECKING:
    from agents.agent import Agent
    from agents.budget import Budget
    from agents.conversation import Conversation
    from agents.events import Event, FinalAnswer, Observation, RunResult
    from agents.longterm import LongTermMemory
    from agents.policy import ApprovalRequest, Policy
    from agents.secret import Secret
    from agents.transcript import Transcript

# Each name and the module it is imported from when it is first asked for (PEP 562).
_LAZY = {
    "Agent": "agents.agent",
    "ApprovalRequest": "agents.policy",
    "Budget": "agents.budget",
    "Event": "agents.events",
    "FinalAnswer": "agents.events",
    "Observation": "agents.events",
    "Policy": "agents.policy",
    "RunResult": "agents.events",
    "Transcript": "agents.transcript",
    "LongTermMemory": "agents.longterm",
    "Conversation": "agents.conversation",
    "Secret": "agents.secret",
}

__all__ = [
    "Agent",
    "ApprovalRequest",
    "Budget",
    "Conversation",
    "Event",
    "FinalAnswer",
    "LongTermMemory",
    "Observation",
    "Policy",
    "RunResult",
    "Secret",
    "Tool",
    "Transcript",
    "tool",
]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used, so that importing the room costs nothing (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_LAZY[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
