"""What can go wrong in an agent, beside what its decoder can.

    UsageError
    ├── ToolError              a tool cannot be made or offered as asked
    │   └── SchemaError        its parameters have no JSON schema
    ├── PolicyError            a policy that contradicts itself
    └── TranscriptError        a transcript that cannot be read, or is of another run
        └── ReplayDiffers      the code does something else now than what the transcript tells
    ServiceError
    ├── UnparsableAction       the decoder's action could not be read, not even after one repair
    ├── NoAnswer               a run was over without an answer, where nothing but an answer can be given back
    └── McpError               an MCP server that does not answer, or answers something else

What a tool raises while it runs is no error of the agent: it becomes the observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from decoder.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from agents.events import RunResult


class ToolError(UsageError):
    """A tool cannot be made or offered as asked."""


class SchemaError(ToolError):
    """A function's parameters have no JSON schema."""


class PolicyError(UsageError):
    """A policy that contradicts itself."""


class TranscriptError(UsageError):
    """A transcript that cannot be read, or belongs to another run."""


class ReplayDiffers(TranscriptError):
    """The code does something else now than what the transcript tells.

    Attributes:
        diff: what differs, as a unified diff of lines, recorded against now; empty where only a hash was kept.
    """

    diff: str = ""


class UnparsableAction(ServiceError):
    """The decoder's action could not be read, not even after one repair.

    Attributes:
        text: what the decoder wrote, up to 2,000 characters.
    """

    text: str = ""


class NoAnswer(ServiceError):
    """A run was over without an answer, where nothing but an answer can be given back.

    Attributes:
        result: how it ended, and what it cost.
    """

    result: RunResult | None = None


class McpError(ServiceError):
    """An MCP server does not answer, or answers something else than its protocol says."""
