"""Sentences weighed, passages ordered by them, the second sentence of a quote, and what a refusal looks at."""

from dataclasses import replace

import pytest

from rag.evidence import Evidence, weigh
from rag.extract import CLOSE, MOST_WORDS, NEIGHBOUR, extract
from rag.searchable import searchable
from rag.sentences import Quotable
from rag.support import Support, assess, best_first, features
from rag.types import Hit

TESLA = (
    "Nikola Tesla was born in 1856. He moved to New York and worked on motors. The motors ran on alternating current."
)
EDISON = "Thomas Edison owned a laboratory. It burned down one night in winter."


@pytest.fixture
def hit(make_passage):
    def make(text, score=0.5, dense=0.5, sparse=None, **more):
        return Hit(make_passage(text, **more), score, dense, sparse)

    return make


def test_every_sentence_of_the_best_passages_is_weighed_once(hit, embedder):
    evidence = weigh("When was Nikola Tesla born?", [hit(TESLA), hit(EDISON, source="b.md")], embedder)
    assert len(evidence) == 5
    assert evidence[0].quote.text == "Nikola Tesla was born in 1856."
    assert [item.score for item in evidence] == sorted((item.score for item in evidence), reverse=True)
    assert {item.number for item in evidence if item.hit.passage.source == "b.md"} == {0, 1}


def test_a_sentence_that_two_passages_share_counts_for_the_better_one(hit, embedder):
    first, overlap = hit(TESLA), TESLA.index("The motors")
    second = hit(TESLA[overlap:] + " They were quiet.", start=overlap)
    texts = [item.quote.text for item in weigh("Were the motors quiet?", [first, second], embedder)]
    assert texts.count("The motors ran on alternating current.") == 1
    assert "They were quiet." in texts


@pytest.mark.parametrize(
    ("question", "lacks"),
    [
        ("When was Nikola Tesla born?", False),
        ("When did Tesla meet Marconi?", True),
        ("What did Tesla do in 1856?", False),
        ("What did Tesla do in 1899?", True),
        ("what did he work on", False),
    ],
)
def test_names_and_numbers_that_a_passage_lacks_are_noticed(hit, embedder, question, lacks):
    assert weigh(question, [hit(TESLA)], embedder)[0].lacks_name is lacks


def test_a_name_in_the_title_is_there(hit, embedder):
    found = hit("He was born in 1856.")
    titled = replace(found, passage=replace(found.passage, title="Nikola_Tesla.txt"))
    assert weigh("When was the inventor Tesla born?", [found], embedder)[0].lacks_name
    assert not weigh("When was the inventor Tesla born?", [titled], embedder)[0].lacks_name


def test_a_missing_name_lowers_the_confidence(hit, embedder):
    known, unknown = (
        assess(f"When was {name} born?", [hit(TESLA)], embedder) for name in ("Nikola Tesla", "Ada Tesla")
    )
    assert features(unknown.evidence[0])[-1] == 1.0
    assert unknown.confidence < known.confidence


def test_a_passage_of_sparse_search_alone_has_the_cosine_that_the_index_would_give(hit, embedder):
    found = hit(TESLA, dense=None, sparse=4.0)
    expected = float(embedder.embed([searchable(found.passage)])[0] @ embedder.embed_query("Tesla motors"))
    assert weigh("Tesla motors", [found], embedder)[0].passage_cosine == pytest.approx(expected, abs=1e-6)


def test_terms_are_a_share_of_the_best_score(hit, embedder):
    hits = [hit(TESLA, sparse=8.0), hit(EDISON, sparse=2.0, source="b.md"), hit("Nothing.", source="c.md")]
    found = {item.hit.passage.source: item.terms for item in weigh("Tesla", hits, embedder)}
    assert found == {"a.md": 1.0, "b.md": 0.25, "c.md": 0.0}


def test_the_passage_with_the_answering_sentence_comes_first_and_the_rest_follow_as_they_were(hit, embedder):
    question = "When was Nikola Tesla born?"
    hits = [hit(EDISON, 0.6, source=f"{n}.md") for n in range(9)] + [hit(TESLA, 0.5), hit("Tesla.", 0.4, source="z.md")]
    ordered = best_first(hits, assess(question, hits, embedder))
    assert ordered[0].passage.text == TESLA
    assert ordered[-1] is hits[-1]  # the eleventh is not weighed
    assert sorted(h.passage.id for h in ordered) == sorted(h.passage.id for h in hits)


def test_a_passage_that_search_puts_far_ahead_stays_first(hit, embedder):
    hits = [hit(EDISON, 20.0, source="b.md"), hit(TESLA, 0.1)]
    assert best_first(hits, assess("When was Nikola Tesla born?", hits, embedder)) == hits


def test_without_evidence_the_order_stays(hit):
    hits = [hit(TESLA, 0.2), hit(EDISON, 0.9, source="b.md")]
    assert best_first(hits, Support()) == hits


def item(found, text, number, score):
    """Evidence with this score: its cosine alone makes it up."""
    start = found.passage.text.index(text)
    quote = Quotable(start, start + len(text), text)
    empty = Evidence(found, quote, number, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, wanted=False, lacks_name=False)
    return replace(empty, cosine=score / replace(empty, cosine=1.0).score)


def quoted(evidence):
    return [c.quote for c in extract(Support(tuple(evidence), 0.9), []).citations]


def test_a_neighbour_wins_what_is_nearly_a_tie_for_the_second_place(hit):
    found = hit(TESLA)
    first, second, third = TESLA.replace(". ", ".|").split("|")
    best, near, far = (
        item(found, first, 0, 9.0),
        item(found, second, 1, 8.0),
        item(found, third, 2, 8.0 + NEIGHBOUR / 2),
    )
    assert quoted([best, far, near]) == [first, second]
    assert quoted([best, replace(far, cosine=best.cosine * 0.99), near]) == [first, third]


def test_a_second_sentence_is_left_out_when_it_is_far_below_or_too_long(hit):
    long = "Motors " + "run " * MOST_WORDS + "on."
    found = hit(f"{TESLA} {long}")
    best = item(found, "Nikola Tesla was born in 1856.", 0, 9.0)
    assert quoted([best, item(found, "The motors ran on alternating current.", 2, 8.9 - CLOSE)]) == [best.quote.text]
    assert quoted([best, item(found, long, 3, 8.9)]) == [best.quote.text]
