"""Conversations of agents that do errands well: the very messages that an agent's decoder is given, and its replies.

A real agent runs with real tools; only the decoder is replaced by one that knows the way. So what the model learns is
what it will see, whatever the prompts say.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from alignment.tiny.errands import Errand
from decoder.scripted import ScriptedDecoder

if TYPE_CHECKING:
    from agents import Tool
    from rag.types import Hit

ALL = ("calculator", "clock", "knowledge_search")


class World:
    """What an errand's tools see: the time, and the passages that there are. One world serves one errand at a time."""

    def __init__(self) -> None:
        self.errand: Errand | None = None

    def now(self) -> datetime:
        """The time of the errand."""
        assert self.errand is not None  # noqa: S101  # set before each run
        return self.errand.now

    def search(self, query: str, limit: int = 5) -> list[Hit]:
        """Every passage there is, in order."""
        from rag.types import Hit, Passage

        assert self.errand is not None  # noqa: S101  # set before each run
        return [
            Hit(Passage(f"{line}", text, "notes.txt", "notes.txt", 0, len(text), line, line), 1.0)
            for line, text in enumerate(self.errand.passages[:limit], 1)
        ]

    def tools(self, names: Sequence[str] = ALL, base: Any = None) -> list[Tool]:
        """The agents' own tools over this world; with a knowledge base, its passages in place of the errand's."""
        from agents.builtin.calculator import calculator
        from agents.builtin.clock import clock
        from agents.builtin.knowledge import knowledge_search
        from agents.builtin.notes import write_note

        known: Any = self if base is None else base
        made = {
            "calculator": calculator(),
            "clock": clock(now=self.now),
            "knowledge_search": knowledge_search(known),
            "write_note": write_note("notes"),  # offered only: no errand writes one
        }
        return [made[name] for name in names]


class Conversations:
    """Makes conversations, with one agent for all of them."""

    def __init__(self, names: Sequence[str] = ALL) -> None:
        from agents import Agent

        self._world = World()
        self._script: deque[str] = deque()
        self._decoder = ScriptedDecoder(lambda messages: self._script.popleft())
        self._agent = Agent(self._decoder, self._world.tools(names))

    def of(self, errand: Errand) -> list[dict[str, str]]:
        """The whole exchange as rows of role and content; the last is the action that gives the answer."""
        self._world.errand = errand
        self._script.extend(replies(errand))
        self._decoder.requests.clear()
        result = self._agent.run(errand.task)
        if result.answer != errand.answer:
            raise AssertionError(f"the way to {errand.answer!r} led to {result.answer!r}: {errand.task}")
        asked = [(each.role, each.text) for each in self._decoder.requests[-1].messages]
        return [{"role": role, "content": text} for role, text in (*asked, ("assistant", _last(errand)))]


def replies(errand: Errand) -> Iterator[str]:
    """What a decoder that knows the way writes, one text a request."""
    for step in errand.steps:
        yield step.thought
        yield json.dumps({"name": step.tool, "arguments": dict(step.arguments)}, ensure_ascii=False)
    yield errand.concluded
    yield _last(errand)


def _last(errand: Errand) -> str:
    return json.dumps({"name": "final_answer", "arguments": {"answer": errand.answer}}, ensure_ascii=False)
