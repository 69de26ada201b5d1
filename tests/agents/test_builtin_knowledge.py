"""Knowledge-base tools over the real manual, with real embeddings."""

from pathlib import Path

import pytest

from agents import Agent
from agents.builtin import knowledge_ask, knowledge_search
from agents.events import Observation
from agents.exported import use
from decoder import ScriptedDecoder
from rag import KnowledgeBase

MANUAL = Path(__file__).parents[2] / "examples" / "manual"


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    with KnowledgeBase("manual", home=tmp_path_factory.mktemp("home")) as base:
        base.add(MANUAL)
        yield base


async def test_passages_come_with_their_places(kb):
    found = await use(knowledge_search(kb), {"query": "How do I install it?", "limit": 2})
    assert found.startswith("1. ")
    assert "\n\n2. " in found
    assert "\n\n3. " not in found
    assert ", lines " in found or ", page " in found


async def test_answers_come_with_checked_sources(kb):
    made = knowledge_ask(kb)
    assert made.effect == "read"
    found = await use(made, {"question": "How much free disk space does Hearth need?"})
    assert "Sources:\n[1] " in found
    refused = await use(made, {"question": "Who won the chess championship of Atlantis in 1204?"})
    assert "Sources:" not in refused


@pytest.mark.parametrize("arguments", [{"query": ""}, {"query": "x", "limit": 0}, {"query": "x", "limit": 21}, {}])
def test_arguments_are_checked(kb, arguments):
    with pytest.raises(ValueError, match=r"query|limit"):
        knowledge_search(kb).validate(arguments)


def test_what_is_found_taints_the_run(kb):
    script = ['{"name": "knowledge_search", "arguments": {"query": "index"}}']
    decoder = ScriptedDecoder([*script, '{"name": "final_answer", "arguments": {"answer": "done"}}'])
    events = list(Agent(decoder, [knowledge_search(kb)], thought_tokens=0).stream("go"))
    (seen,) = [event for event in events if isinstance(event, Observation)]
    assert seen.untrusted
    assert not seen.error
    assert knowledge_search(kb, trusted=True).trusted
