"""Parents: hits of one stretch become it, no hit's text is lost, and citations of what comes out stand in the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import KnowledgeBase
from rag.chunk import chunk
from rag.citations import check
from rag.parents import Parents, merge
from rag.retrieve import Search
from rag.types import Document, Hit

TEXTS = {
    "a.md": "# One\n\n" + " ".join(f"Fact {n} of one is here." for n in range(60)) + "\n\n# Two\n\nShort part.\n",
    "b.md": "| Name | Price |\n|---|---|\n" + "\n".join(f"| item {n} | {n} euros |" for n in range(60)),
    "c.py": "\n\n".join(f"class C{k}:\n" + "\n".join(f"    a{n} = call_{n}({n})" for n in range(30)) for k in range(3)),
}
TYPES = {"a.md": "text/markdown", "b.md": "text/markdown", "c.py": "text/x-python"}
PASSAGES = [
    passage
    for source, text in TEXTS.items()
    for passage in chunk(Document(source, text, "h", TYPES[source], source), 40, 10, parent_tokens=160)
]


def hit(passage, score=1.0):
    return Hit(passage, score, 0.5, 2.0)


ORDERS = st.lists(st.sampled_from(range(len(PASSAGES))), max_size=20, unique=True)


@settings(max_examples=200, deadline=None)
@given(ORDERS, st.integers(1, 4), st.sampled_from([0.2, 0.5, 1.0]), st.none() | st.integers(1, 20))
def test_no_hit_is_lost_and_every_result_stands_in_its_document(order, least, share, limit):
    hits = [hit(PASSAGES[number], 1 - rank / 100) for rank, number in enumerate(order)]
    results = merge(hits, TEXTS.__getitem__, Parents(least, share), limit)
    for found in hits[:limit]:
        assert any(
            result.passage.source == found.passage.source
            and result.passage.start <= found.passage.start
            and found.passage.end <= result.passage.end
            and found.passage.text in result.passage.text
            for result in results
        )
    assert len(results) <= len(hits)
    assert limit is None or len(results) <= limit
    assert [result.score for result in results] == sorted((r.score for r in results), reverse=True)
    assert len({result.passage.id for result in results}) == len(results)
    by_id = {found.passage.id: found for found in hits}
    for result in results:
        whole, passage = TEXTS[result.passage.source], result.passage
        assert passage.text == whole[passage.start : passage.end]
        assert passage.line_start == whole.count("\n", 0, passage.start) + 1
        assert passage.line_end == whole.count("\n", 0, passage.end) + 1
        assert (result.dense, result.sparse) == (0.5, 2.0)
        original = by_id[passage.id].passage
        assert (passage.heading, passage.page) == (original.heading, original.page)
        assert (passage.start, passage.end) in (
            (original.start, original.end),
            (original.parent_start, original.parent_end),
        )


def parts_of(source):
    first = next(p for p in PASSAGES if p.source == source)
    return [
        p
        for p in PASSAGES
        if (p.source, p.parent_start, p.parent_end) == (source, first.parent_start, first.parent_end)
    ]


def test_enough_parts_or_a_large_share_make_the_parent():
    one, two, *_ = parts_of("a.md")
    whole = TEXTS["a.md"][one.parent_start : one.parent_end]
    assert merge([hit(one)], TEXTS.__getitem__, Parents(2, 0.9)) == [hit(one)]
    assert [r.passage.text for r in merge([hit(one), hit(two)], TEXTS.__getitem__, Parents(2, 0.9))] == [whole]
    assert [r.passage.text for r in merge([hit(one)], TEXTS.__getitem__, Parents(3, 0.1))] == [whole]


def test_what_a_parent_takes_in_makes_room_for_others():
    one, two, *_ = parts_of("a.md")
    other = next(p for p in PASSAGES if p.source == "b.md")
    results = merge([hit(one), hit(two), hit(other)], TEXTS.__getitem__, Parents(), limit=2)
    assert [r.passage.source for r in results] == ["a.md", "b.md"]


def test_a_part_of_a_table_keeps_its_header_where_the_parent_lacks_it():
    later = next(p for p in PASSAGES if p.source == "b.md" and p.context and p.parent_start > 0)
    (result,) = merge([hit(later)], TEXTS.__getitem__, Parents(1))
    assert result.passage.context == "| Name | Price |\n|---|---|"


def test_a_text_that_has_changed_is_not_cut_up():
    one, two, *_ = parts_of("a.md")
    hits = [hit(one), hit(two)]
    assert merge(hits, lambda source: "x" + TEXTS[source], Parents()) == hits


def test_citations_of_a_parent_hold():
    one, two, *_ = parts_of("a.md")
    (result,) = merge([hit(two), hit(one)], TEXTS.__getitem__, Parents())
    checked = check("Fact 3 of one is here [1].", [result.passage])
    (citation,) = checked.citations
    assert TEXTS["a.md"][citation.start : citation.end] == citation.quote == "Fact 3 of one is here."
    assert citation.passage_id == two.id


@pytest.mark.parametrize(("least", "share"), [(0, 0.5), (1, 0.0), (1, 1.5)])
def test_impossible_rules_are_refused(least, share):
    with pytest.raises(ValueError, match="least"):
        Parents(least, share)


def test_an_answer_is_read_from_the_parent(tmp_path, embedder):
    text = "# Rent\n\n" + " ".join(f"The rent clause {n} says what tenants pay in month {n}." for n in range(40))
    (tmp_path / "lease.md").write_text(text)
    options = Search(limit=4, parents=Parents(2))
    with KnowledgeBase("mine", home=tmp_path / "home", embedder=embedder, options=options) as base:
        base.add(tmp_path / "lease.md")
        plain = base.search("rent clause 7 month 7", options=Search(limit=4))
        wide = base.search("rent clause 7 month 7")
        assert max(len(h.passage.text) for h in wide) > 1.5 * max(len(h.passage.text) for h in plain)
        answer = base.ask("What does rent clause 7 say that tenants pay in month 7?")
    assert not answer.refused
    for citation in answer.citations:
        assert text[citation.start : citation.end] == citation.quote
    assert "clause 7 " in answer.text
