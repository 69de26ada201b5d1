"""The commands with the real knowledge base, on a real folder of documents."""

import io
import json
import sys
from functools import cache

import pytest

from rag.embed import SentenceEmbedder
from rag.knowledge import KnowledgeBase
from ui.cli import wiring

pytestmark = pytest.mark.slow


@cache
def embedder():
    return SentenceEmbedder()


@pytest.fixture
def documents(house, monkeypatch):
    """A folder with a lease. The embedding model is loaded once for all tests here, not once a command."""

    def open_knowledge_base(name, decoder=None, beside=None):
        return KnowledgeBase(name, decoder=decoder, embedder=embedder())

    monkeypatch.setattr(wiring, "open_knowledge_base", open_knowledge_base)
    folder = house / "lease"
    folder.mkdir()
    (folder / "lease.md").write_text("# Lease\n\nThe flat has three rooms.\n\nThe monthly rent is 900 euros.\n")
    (folder / "garden.txt").write_text("The garden is watered on Tuesdays by Mr Finch.\n")
    return folder


def test_documents_go_in_and_answers_come_out(hearth, documents):
    assert "2 added" in hearth("index", documents).out
    assert "2 unchanged" in hearth("index", documents).out
    first = hearth("search", "Who waters the garden?", "--limit", "1")
    assert "garden.txt, line 1" in first.out
    asked = hearth("ask", "How much is the monthly rent?")
    assert asked.code == 0
    assert "900 euros" in asked.out
    assert "lease.md, line 5" in asked.out
    refused = hearth("ask", "Who won the football world cup in 1998?", "--json")
    assert (refused.code, refused.json["refused"]) == (3, True)


def test_the_knowledge_base_can_be_looked_at_and_pruned(hearth, documents):
    hearth("index", documents, "--kb", "home")
    assert hearth("kb", "list").out == "home\n"
    assert hearth("kb", "show", "--kb", "home", "--json").json["documents"] == 2
    listed = hearth("kb", "documents", "--kb", "home", "--json").json["documents"]
    garden = next(entry["source"] for entry in listed if entry["source"].endswith("garden.txt"))
    assert hearth("kb", "remove", garden, "--kb", "home").code == 0
    assert "garden.txt" not in hearth("kb", "documents", "--kb", "home").out
    again = hearth("kb", "remove", garden, "--kb", "home")
    assert again.code == 2
    assert "is not in this knowledge base" in again.err
    assert hearth("kb", "remove", "--kb", "home").code == 2
    assert hearth("kb", "remove", "--all", "--kb", "home").code == 0
    assert hearth("kb", "list").out == ""


def test_a_name_that_was_never_indexed(hearth, documents):
    for command in (["ask", "What?"], ["search", "what"], ["kb", "show"], ["kb", "remove", "--all"]):
        result = hearth(*command, "--kb", "nothing")
        assert result.code == 2
        assert "there is none called 'nothing'. Index some documents first" in result.err


def test_a_chat_over_a_folder(hearth, documents, monkeypatch):
    said = b"How much is the monthly rent?\n/open 1\n/save talk.json\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said), encoding="utf-8"))
    result = hearth("chat", "--docs", documents)
    assert result.code == 0, result.err
    assert f"Read {documents}: 2 added" in result.err
    assert "5  The monthly rent is 900 euros." in result.out
    assert "3  The flat has three rooms." in result.out
    (turn,) = json.loads((documents.parent / "talk.json").read_text())
    assert turn["answer"]["citations"][0]["line_start"] == 5


def test_a_second_run_over_the_same_folder_says_nothing_of_it(hearth, documents):
    assert "Read " in hearth("ask", "How much is the rent?", "--docs", documents).err
    assert hearth("ask", "How much is the rent?", "--docs", documents).err == ""
    (documents / "lease.md").write_text("# Lease\n\nThe monthly rent is 950 euros.\n")
    changed = hearth("ask", "How much is the rent?", "--docs", documents)
    assert "1 updated" in changed.err
    assert "950 euros" in changed.out
