"""What is asked of an agent on the page, as data: it goes into the job's job.json and holds no secret of a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from agents.events import Effect
from decoder.errors import UsageError
from ui.browser.ownership import check_own

STEP = "starting an agent"
EFFECTS: Mapping[str, Effect] = {
    "calculator": "read",
    "clock": "read",
    "python": "read",
    "files": "read",
    "web": "egress",
    "notes": "write",
}
"""The tools that can be chosen, and what each may do."""
MODES = ("", "constrained", "native", "text")
APPROVALS = ("ask", "never", "always")


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """A task and all that holds for it.

    Attributes:
        task: what to do; of a fork, what to do instead, or empty for the same.
        person: whose notes are written.
        tools: keys of `EFFECTS`.
        kb: full name of a knowledge base that it may search; empty is none.
        mcp: MCP servers, each an address or a command line.
        instructions: who it is and what holds for its work.
        steps, tokens, seconds: its budget.
        approve: what writes or sends is asked about, refused, or allowed.
        mode: how actions are asked for; empty is as the decoder can.
        base_url, model, embedded: which decoder; empty is as set up.
        resume: the id of the job whose run is gone on with.
        fork, fork_step: the id of the job whose first steps are shared, and the last of them.
    """

    task: str
    person: str = ""
    tools: tuple[str, ...] = ("calculator", "clock", "notes")
    kb: str = ""
    mcp: tuple[str, ...] = ()
    instructions: str = ""
    steps: int = 12
    tokens: int = 100_000
    seconds: float = 1800.0
    approve: str = "ask"
    mode: str = ""
    base_url: str = ""
    model: str = ""
    embedded: str = ""
    resume: str = ""
    fork: str = ""
    fork_step: int = 0

    def __post_init__(self) -> None:
        if not self.task.strip() and not (self.resume or self.fork):
            raise UsageError(STEP, "no task was given", "Write what is to be done")
        if self.kb:
            check_own(self.kb, self.person, STEP)  # a browser can send other names than those that it was offered
        if unknown := sorted(set(self.tools) - set(EFFECTS)):
            raise UsageError(STEP, f"there is no tool called {unknown[0]!r}", f"Tools: {', '.join(EFFECTS)}")
        if self.approve not in APPROVALS or self.mode not in MODES:
            raise UsageError(STEP, "the approval or the mode is none of them", "Choose another")

    def data(self) -> dict[str, Any]:
        """For job.json."""
        return asdict(self)


def spec_of(data: Mapping[str, Any]) -> AgentSpec:
    """The spec that `data` holds. Raises UsageError when it is none."""
    known = {field.name for field in fields(AgentSpec)}
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    if odd := sorted(given.keys() - known):
        raise UsageError(STEP, f"{odd[0]!r} is nothing that an agent is asked", "Start it from the page")
    return AgentSpec(**given)
