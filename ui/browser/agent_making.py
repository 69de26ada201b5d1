"""Makes the agent that a spec asks for: its tools, its policy, its decoder. The job runs it, a replay repeats it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import UsageError
from decoder.settings import home
from ui.browser.agent_spec import STEP, AgentSpec
from ui.cli.agent_tools import knowledge_tools, mcp_tools
from ui.cli.wiring import DecoderChoice

if TYPE_CHECKING:
    from agents import Agent, Policy, Tool
    from agents.policy import Approver
    from decoder.base import Decoder
    from rag.knowledge import KnowledgeBase


def decoder_choice(spec: AgentSpec) -> DecoderChoice:
    """Which decoder is meant; its key comes from the environment or from `hearth serve`."""
    return DecoderChoice(spec.base_url, spec.model, Path(spec.embedded) if spec.embedded else None)


def notes_folder(person: str) -> Path:
    """Where the notes of a person are kept."""
    return home() / "notes" / (hashlib.sha256(person.encode()).hexdigest()[:20] if person else "everybody")


def uploads_folder(kb: str) -> Path:
    """Where the files that were given to a knowledge base are kept."""
    return home() / "uploads" / kb


@contextmanager
def offered(spec: AgentSpec, base: KnowledgeBase | None) -> Iterator[list[Tool]]:
    """The spec's tools, MCP servers connected while they are used. Raises UsageError, ToolError, McpError."""
    made = [_make(name, spec) for name in spec.tools]
    made += knowledge_tools(base) if base is not None else []
    with mcp_tools(spec.mcp) as connected:
        yield made + connected


def agent_for(spec: AgentSpec, decoder: Decoder, tools: Sequence[Tool], approver: Approver | None = None) -> Agent:
    """The agent; `approver` is who is asked where the spec says "ask"."""
    from agents import Agent, Budget

    return Agent(
        decoder,
        tools,
        instructions=spec.instructions,
        budget=Budget(steps=spec.steps, tokens=spec.tokens, seconds=spec.seconds),
        policy=policy_for(spec.approve, approver),
        mode=spec.mode or None,  # type: ignore[arg-type]  # checked by AgentSpec
    )


def policy_for(approve: str, approver: Approver | None) -> Policy:
    """Everything that writes or sends needs a yes: a person's, nobody's, or one that was given beforehand."""
    from agents.policy import Policy, approve_all
    from ui.browser.settings import ui_settings

    who = {"ask": approver, "never": None, "always": approve_all}[approve]
    return Policy(
        ask_for=frozenset({"write", "egress"}), approve=who, approval_timeout=60.0 * ui_settings().approval_minutes
    )


def _make(name: str, spec: AgentSpec) -> Tool:
    makers: dict[str, Callable[[AgentSpec], Tool]] = {"files": _files, "notes": _notes}
    if name in makers:
        return makers[name](spec)
    from ui.cli.agent_tools import parse_tools

    (made,) = parse_tools(name)
    return made


def _files(spec: AgentSpec) -> Tool:
    from agents.builtin import read_files

    folder = uploads_folder(spec.kb)
    if not spec.kb or not folder.is_dir():
        raise UsageError(STEP, "there are no files to read", "Choose a knowledge base that files were given to")
    return read_files(folder, documents=True)


def _notes(spec: AgentSpec) -> Tool:
    from agents.builtin import write_note

    return write_note(notes_folder(spec.person))
