"""Retrieval: both searches contribute, the order is deterministic, and fusing beats either alone on real judgements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from decoder.errors import UsageError
from rag.errors import IndexMismatch, IndexNotFound
from rag.filters import Where
from rag.retrieve import Search, retrieve

FACTS = {
    "hearth.md": ["The hearth is built of granite.", "Smoke leaves through the chimney."],
    "garden.md": ["Roses grow beside the wall.", "The gardener waters roses daily."],
    "ships.md": ["Sailing ships need wind, part XJ-42."],
}


def test_hits_carry_both_scores(store, write, embedder):
    write(store, FACTS)
    hits = retrieve("Who waters the roses?", store, embedder, Search(limit=3))
    assert hits[0].passage.text == "The gardener waters roses daily."
    assert hits[0].dense > 0.5
    assert hits[0].sparse > 1
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert any(hit.sparse is None for hit in hits)


def test_an_exact_term_is_found(store, write, embedder):
    write(store, FACTS)
    assert retrieve("XJ-42", store, embedder)[0].passage.source == "ships.md"


def test_a_query_of_stop_words_still_finds_by_meaning(store, write, embedder):
    write(store, FACTS)
    assert all(hit.sparse is None for hit in retrieve("what is it", store, embedder))


def test_sources_narrow_and_limit_bounds(store, write, embedder):
    write(store, FACTS)
    hits = retrieve("roses granite", store, embedder, Search(where=Where().and_sources(["hearth.md"])))
    assert {hit.passage.source for hit in hits} == {"hearth.md"}
    assert len(retrieve("roses granite", store, embedder, Search(limit=4, pool=1))) == 4


def test_what_cannot_be_searched_is_a_typed_error(store, write, embedder, make_embedder):
    with pytest.raises(IndexNotFound):
        retrieve("roses", store, embedder)
    write(store, FACTS)
    with pytest.raises(UsageError, match="the query is empty"):
        retrieve(" \n", store, embedder)
    with pytest.raises(IndexMismatch):
        retrieve("roses", store, make_embedder(name="other"))


def test_a_new_generation_is_seen_at_the_next_question(store, write, embedder):
    write(store, FACTS)
    assert retrieve("tulips", store, embedder)[0].sparse is None
    write(store, {"new.md": ["Tulips are new."]})
    assert retrieve("tulips", store, embedder)[0].passage.source == "new.md"


def test_fusion_loses_to_neither_search_on_adi(data):
    """nDCG@10 with the real model; the plain references are BM25 .397, dense .497, reciprocal ranks .450."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.retrieval", str(data / "ir"), "--collections", "adi"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=root)
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in run.stdout.splitlines() if line.startswith("adi   all"))
    sparse, dense, _, score, search = map(float, line.split()[3:8])
    assert sparse > 0.45
    assert dense > 0.49
    assert min(score, search) >= max(sparse, dense) + 0.02
