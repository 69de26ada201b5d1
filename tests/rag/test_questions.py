import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from prompts.rows import LONGEST_LINE
from rag.filters import Condition
from rag.question_fields import FIELDS, BadQuestion, Span
from rag.questions import Question, parse_question, read_questions

WORDS = st.text("a9 =>.\x00é", max_size=8)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def read(row):
    return parse_question(json.dumps(row).encode(), 3)


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "questions.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        return path

    return write


def test_every_field_is_read():
    found = read(
        {
            "id": 7,
            "question": "When?",
            "answers": ["third", "third"],
            "sources": ["a.md"],
            "passages": [{"source": "a.md", "start": 3, "end": 9}],
            "relevant": {"a.md": 2, "b.md": 0},
            "answerable": True,
            "where": {"author": ["Ann", "Bob"], "year": 2020},
        }
    )
    assert (found.id, found.answers, found.passages) == ("7", ("third",), (Span("a.md", 3, 9),))
    assert found.relevant == {"a.md": 2}
    assert found.where.conditions == (Condition("author", ("Ann", "Bob")), Condition("year", (2020,)))
    assert read({"question": "When?", "where": ["year>=2020"]}).where.conditions == (Condition("year", at_least=2020),)


def test_what_is_absent_or_null_is_empty():
    assert read({"question": "When?", "answers": None, "id": None}) == Question("3", "When?")


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({}, "question", "it is missing"),
        ({"question": " "}, "question", "empty"),
        ({"question": 3}, "question", "no text"),
        ({"question": "\ud800"}, "question", "surrogate"),
        ({"question": "?", "answer": ["x"]}, "answer", "no such field"),
        ({"question": "?", "id": True}, "id", "neither"),
        ({"question": "?", "id": ""}, "id", "neither"),
        ({"question": "?", "answers": "x"}, "answers", "no list"),
        ({"question": "?", "answers": [1]}, "answers", "other than texts"),
        ({"question": "?", "sources": [""]}, "sources", "empty"),
        ({"question": "?", "passages": ["a.md"]}, "passages", "source, start and end"),
        ({"question": "?", "passages": [{"source": "", "start": 0, "end": 1}]}, "passages", "source is no text"),
        ({"question": "?", "passages": [{"source": "a", "start": 4, "end": 4}]}, "passages", "start < end"),
        ({"question": "?", "passages": [{"source": "a", "start": 0, "end": True}]}, "passages", "start < end"),
        ({"question": "?", "relevant": ["a"]}, "relevant", "map documents"),
        ({"question": "?", "relevant": {"a": 1.5}}, "relevant", "whole numbers"),
        ({"question": "?", "relevant": {" ": 1}}, "relevant", "no name"),
        ({"question": "?", "answerable": "no"}, "answerable", "neither true nor false"),
        ({"question": "?", "answerable": False, "answers": ["x"]}, "answerable", "yet there are answers"),
        ({"question": "?", "where": 3}, "where", "neither an object"),
        ({"question": "?", "where": {"9": 1}}, "where", "cannot name a field"),
        ({"question": "?", "where": {"a": None}}, "where", "no text, number"),
        ({"question": "?", "where": {"a": []}}, "where", "no text, number"),
        ({"question": "?", "where": ["year"]}, "where", "is no condition"),
    ],
)
def test_a_bad_field_is_named_with_its_line_and_the_reason(row, field, reason):
    with pytest.raises(BadQuestion) as caught:
        read(row)
    assert (caught.value.line, caught.value.field) == (3, field)
    assert reason in caught.value.reason
    assert f"line 3, {field}: " in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.line, copy.field, str(copy)) == (3, field, str(caught.value))


def test_a_misspelt_field_is_told_the_right_one():
    with pytest.raises(BadQuestion, match="Known: answers"):
        read({"question": "?", "answer": ["x"]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"question": "?"', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"question": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"question": "' + b"x" * LONGEST_LINE + b'"}', "longer than"),
    ],
)
def test_a_bad_line_is_named(file, line, reason):
    path = file({"question": "first?"}, line, {"question": "last?"})
    with pytest.raises(BadQuestion, match=reason) as caught:
        read_questions(path)
    assert (caught.value.line, caught.value.field) == (2, "")
    found = read_questions(path, skip_bad=True)
    assert [(q.id, q.question) for q in found.questions] == [("1", "first?"), ("3", "last?")]
    assert [error.line for error in found.bad] == [2]


def test_two_questions_cannot_share_an_id(file):
    path = file({"question": "a?", "id": "2"}, {"question": "b?"})
    with pytest.raises(BadQuestion, match="'2' stands in an earlier row"):
        read_questions(path)


def test_a_limit_reads_no_further(file):
    path = file({"question": "a?"}, b"", {"question": "b?"}, b"broken")
    assert [q.question for q in read_questions(path, limit=2).questions] == ["a?", "b?"]


def test_a_byte_order_mark_is_no_part_of_the_first_row(file):
    assert read_questions(file(b'\xef\xbb\xbf{"question": "a?"}\r')).questions[0].question == "a?"


def test_files_without_questions_are_the_users_fault(file, tmp_path):
    for path in (file(b""), file(b"\n\n"), tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(UsageError):
            read_questions(path)
    with pytest.raises(UsageError, match="holds no question"):
        read_questions(file(b"broken"), skip_bad=True)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_untyped(line):
    try:
        assert parse_question(line, 1).question
    except BadQuestion as error:
        assert error.line == 1


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_no_row_raises_anything_untyped(row):
    try:
        found = parse_question(json.dumps({"question": "why?", **row}).encode(), 5)
    except BadQuestion as error:
        assert error.field in FIELDS
    else:
        assert found.question.strip()
        assert all(grade > 0 for grade in found.relevant.values())
