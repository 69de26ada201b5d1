"""Errands done by an agent: with its tools, without them, and over a knowledge base of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from agents import Agent
from agents.budget import Budget
from alignment.tiny.errands import Errand
from decoder.errors import ServiceError
from prompts.results import EvalProgress
from ui.tiny.agent_rows import World
from ui.tiny.scores import GREEDY, MAX_TOKENS, Measure, Tell, changed, chosen, scores

if TYPE_CHECKING:
    from agents import Tool
    from decoder.base import Decoder
    from rag import KnowledgeBase

MOST_STEPS = 6
WITH, WITHOUT, FILES = "with tools", "without tools", "over files"


@dataclass(slots=True)
class Done:
    """What came of errands: which were solved, and what it took."""

    solved: list[bool] = field(default_factory=list)
    tokens: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def errands(decoder: Decoder, cases: Sequence[Errand], tell: Tell) -> Measure:
    """Every errand twice: with the tools, and by an agent that has none."""
    started, world = perf_counter(), World()
    solved = done(decoder, cases, world, world.tools(), tell)
    bare = done(decoder, cases, world, (), tell)
    return Measure(
        "agent",
        scores({**_by_kind(WITH, solved, cases), **_by_kind(WITHOUT, bare, cases)}),
        (changed(f"{WITH} minus {WITHOUT}", bare.solved, solved.solved),),
        solved.tokens + bare.tokens,
        perf_counter() - started,
        {f"{way} {at}": why for way, came in ((WITH, solved), (WITHOUT, bare)) for at, why in came.failed.items()},
    )


def knowledge(decoder: Decoder, cases: Sequence[Errand], tell: Tell) -> Measure:
    """Errands over the passages of all of them, a file each, in a real knowledge base."""
    started, world = perf_counter(), World()
    with known(cases) as base:
        solved = done(decoder, cases, world, world.tools(base=base), tell)
    judged = scores(_by_kind(FILES, solved, cases))
    return Measure("knowledge", judged, (), solved.tokens, perf_counter() - started, solved.failed)


def done(decoder: Decoder, cases: Sequence[Errand], world: World, tools: Sequence[Tool], tell: Tell) -> Done:
    """One errand after the other. Solved is: the answer is the very one."""
    agent = Agent(
        decoder,
        tools,
        budget=Budget(steps=MOST_STEPS),
        sampling=replace(GREEDY, max_tokens=None),
        thought_tokens=MAX_TOKENS,
        action_tokens=MAX_TOKENS,
        mode="constrained",
    )
    came = Done()
    for at, case in enumerate(cases):
        tell(EvalProgress("asking", at, len(cases)))
        world.errand = case
        try:
            result = agent.run(case.task)
        except ServiceError as error:
            came.failed[str(at)] = str(error)
            came.solved.append(False)
            continue
        came.tokens += result.spent.completion_tokens
        came.solved.append(result.answer == case.answer)
    return came


@contextmanager
def known(cases: Sequence[Errand]) -> Iterator[KnowledgeBase]:
    """A knowledge base of the cases' passages, gone afterwards."""
    from rag import KnowledgeBase
    from rag.settings import rag_settings
    from rag.store import open_store

    with TemporaryDirectory(prefix="hearth-tiny-") as folder:
        files, settings = Path(folder) / "notes", replace(rag_settings(), store="edge", index_folder=f"{folder}/index")
        files.mkdir()
        for at, case in enumerate(cases):
            for line, passage in enumerate(case.passages, 1):
                (files / f"{at}-{line}.txt").write_text(f"{passage}\n", encoding="utf-8")
        store: Any = open_store("errands", settings)
        with KnowledgeBase("errands", store=store) as base:
            base.add(files)
            yield base


def _by_kind(way: str, came: Done, cases: Sequence[Errand]) -> dict[str, list[bool]]:
    kinds = sorted({case.kind for case in cases})
    apart = {f"{way}, {kind}": chosen(came.solved, [case.kind == kind for case in cases]) for kind in kinds}
    return {way: came.solved, **apart}
