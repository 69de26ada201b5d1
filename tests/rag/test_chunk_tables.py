"""Tables: whole while they fit, else cut between rows with their header; and the wider stretch of a passage."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunk import chunk, estimate_tokens
from rag.searchable import searchable
from rag.types import Document, Segment

HEADER = "| Name | Price |\n|---|---|"


def document(text, media_type="text/markdown", segments=()):
    return Document("a.md", text, "hash", media_type, "Title", segments)


def rows(count):
    return "\n".join(f"| item {n} | {n} euros |" for n in range(count))


def test_a_table_that_fits_is_one_passage_without_context():
    text = f"# Prices\n\n{HEADER}\n{rows(8)}"
    (passage,) = chunk(document(text), 180, 20)
    assert (passage.text, passage.context) == (text, "")


def test_each_part_of_a_long_table_can_be_read_by_itself():
    table = f"{HEADER}\n{rows(60)}"
    passages = chunk(document(f"# Prices\n\nPrices in spring\n\n{table}\n\nAfter it."), 80, 10)
    parts = [p for p in passages if "| item" in p.text]
    assert len(parts) > 5
    assert parts[0].text.startswith(HEADER)
    assert parts[0].context == "Prices in spring"
    for part in parts[1:]:
        assert part.context == f"Prices in spring\n{HEADER}"
        assert part.heading == ("Prices",)
        assert estimate_tokens(f"{part.context}\n{part.text}") <= 82
        assert all(line.startswith("| item") for line in part.text.split("\n"))
        assert searchable(part) == f"Title > Prices\n{part.context}\n{part.text}"
    assert "\n".join(p.text for p in parts) == table


def test_a_long_paragraph_or_list_above_is_no_title():
    for above in ("word " * 40, "one line\nand another"):
        passages = chunk(document(f"{above}\n\n{HEADER}\n{rows(40)}"), 80, 10)
        assert passages[-1].context == HEADER


def test_rows_without_a_rule_have_no_header():
    assert {p.context for p in chunk(document(rows(40)), 60, 0)} == {""}


def test_a_header_too_wide_is_cut_short_and_a_row_too_wide_is_cut():
    wide = "| " + " | ".join(f"column {n}" for n in range(60)) + " |"
    text = "\n".join([wide, "|---" * 60 + "|", *("| " + " | ".join(f"cell {n}" for n in range(60)) + " |",) * 3])
    for passage in chunk(document(text), 60, 0):
        assert estimate_tokens(passage.text) <= 60
        assert estimate_tokens(passage.context) <= 30
    assert chunk(document(text), 60, 0)[-1].context.startswith("| column 0 | column 1")


CELLS = st.text(alphabet="ab 1é漢|-:", max_size=12)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=30)
PROSE = st.sampled_from(["", "A title\n\n", "Some words. And more words here! ", "# Heading\n\n"])


@settings(max_examples=200, deadline=None)
@given(
    before=PROSE,
    table=TABLES,
    ruled=st.booleans(),
    after=PROSE,
    max_tokens=st.integers(8, 60),
)
def test_any_table_is_covered_in_bounds(before, table, ruled, after, max_tokens):
    lines = ["| " + " | ".join(row) + " |" for row in table]
    if ruled:
        lines.insert(1, "|---" * len(table[0]) + "|")
    text = before + "\n".join(lines) + "\n\n" + after
    passages = chunk(document(text), max_tokens, max_tokens // 4)
    covered = [False] * len(text)
    for passage in passages:
        assert passage.text == text[passage.start : passage.end] == passage.text.strip() != ""
        assert estimate_tokens(passage.text) <= max_tokens
        assert estimate_tokens(passage.context) < max_tokens
        covered[passage.start : passage.end] = [True] * (passage.end - passage.start)
    assert all(covered[i] or text[i].isspace() for i in range(len(text)))
    assert all(before.start < after.start for before, after in itertools.pairwise(passages))


def prose(number):
    return " ".join(f"Sentence {n} of part {number} has some words." for n in range(60))


def test_the_parent_is_the_section_where_it_fits_and_never_more():
    text = f"# One\n\n{prose(1)}\n\n# Two\n\n{prose(2)}"
    for passage in chunk(document(text), 60, 10, parent_tokens=900):
        start = text.index(f"# {passage.heading[0]}")
        assert text[passage.parent_start : passage.parent_end] == text[start:].split("\n\n# ")[0]


def test_a_longer_section_has_windows_that_neighbours_share():
    passages = chunk(document(prose(1)), 60, 10, parent_tokens=200)
    windows = [(p.parent_start, p.parent_end) for p in passages]
    assert len(set(windows)) > 2
    for passage, (start, end) in zip(passages, windows, strict=True):
        assert start <= passage.start < passage.end <= end
        assert sum(estimate_tokens(p.text) for p in passages if start <= p.start < p.end <= end) <= 200
    assert windows == sorted(windows)
    assert min(windows.count(window) for window in set(windows)) > 1


def test_a_passage_that_is_its_whole_section_has_no_parent():
    (passage,) = chunk(document("Short."))
    assert (passage.parent_start, passage.parent_end) == (0, 0)
    assert {(p.parent_start, p.parent_end) for p in chunk(document(prose(1)), 60, 10, parent_tokens=0)} == {(0, 0)}


@settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(
        st.integers(0, 40).map(lambda n: "Some words stand here. " * n + "|a|\n" * n), min_size=1, max_size=4
    ),
    parent=st.integers(0, 300),
)
def test_no_parent_crosses_a_page(pages, parent):
    segments, start = [], 0
    for number, page in enumerate(pages, 1):
        segments.append(Segment(start, start + len(page) + 1, number))
        start += len(page) + 1
    text = "".join(page + "\n" for page in pages)
    for passage in chunk(document(text, "application/pdf", tuple(segments)), 20, 4, parent_tokens=parent):
        segment = segments[passage.page - 1]
        if passage.parent_end:
            assert segment.start <= passage.parent_start <= passage.start
            assert passage.end <= passage.parent_end <= segment.end


def test_what_is_known_of_the_document_is_known_of_its_passages():
    known = Document("a.md", "Text.", "hash", "text/markdown", metadata={"author": "Ann", "tags": ("x",)})
    (passage,) = chunk(known)
    assert (passage.media_type, passage.metadata) == ("text/markdown", known.metadata)
