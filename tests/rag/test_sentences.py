from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.sentences import MOST_WORDS, quotable, split_sentences
from rag.words import content_words, names, numbers


def texts(text):
    return [sentence.text for sentence in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith met Mr. J. Jones at 5 p.m. on Monday. He left.",
            ["Dr. Smith met Mr. J. Jones at 5 p.m. on Monday.", "He left."],
        ),
        ("The U.S. Army won. It left.", ["The U.S. Army won.", "It left."]),
        ("He lives in the U.S. He works.", ["He lives in the U.S.", "He works."]),
        ("It costs 3.50 euros, e.g. at St. Pancras. Cheap.", ["It costs 3.50 euros, e.g. at St. Pancras.", "Cheap."]),
        ('She said "No." Then she left.', ['She said "No."', "Then she left."]),
        ("See Fig. 3 and No. 5. Done.", ["See Fig. 3 and No. 5.", "Done."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("# A heading\nA line\ngoes on. Next.", ["# A heading", "A line\ngoes on.", "Next."]),
        ("List:\n- one thing\n- two. More\n1. three", ["List:", "- one thing", "- two.", "More", "1. three"]),
        ("1. Open it. Then close it.", ["1. Open it.", "Then close it."]),
        ("No stop\n\nNew paragraph", ["No stop", "New paragraph"]),
        ("| a | b. C |\n| d | e |", ["| a | b. C |", "| d | e |"]),
        ("Run:\n```\nhearth a. B\nhearth c\n```\nDone.", ["Run:", "```\nhearth a. B\nhearth c\n```", "Done."]),
        ("他来了。她走了。", ["他来了。", "她走了。"]),
        ("version 3.11. Then 3.12 came.", ["version 3.11.", "Then 3.12 came."]),
        ("", []),
    ],
)
def test_sentences(text, sentences):
    assert texts(text) == sentences


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("aB1 .!?\n#-|`*:\"'。\t\r"), max_size=80) | st.text(max_size=60))
def test_offsets_are_exact_and_nothing_is_lost(text):
    found = split_sentences(text)
    assert all(text[s.start : s.end] == s.text == s.text.strip() for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert "".join("".join(s.text for s in found).split()) == "".join(text.split())
    for quote in quotable(text):
        assert text[quote.start : quote.end] == quote.text
        assert len(quote.text.split()) <= MOST_WORDS


def test_headings_and_questions_are_no_quotes_but_lead_to_one():
    found = quotable("## Licence\n\nWhich licence is it?\nIt is the Apache License.\n\nOther.")
    assert [(q.text, q.lead) for q in found] == [("It is the Apache License.", "Which licence is it?"), ("Other.", "")]


def test_what_a_colon_announces_is_quoted_with_it():
    text = "To install, type:\n\n```\nmake chat\n```\n\nThen wait."
    assert [q.text for q in quotable(text)] == ["To install, type:\n\n```\nmake chat\n```", "Then wait."]


def test_a_text_of_headings_can_still_be_quoted():
    assert [q.text for q in quotable("# Only a heading")] == ["# Only a heading"]


def test_words_meet_across_their_forms():
    assert len({*content_words("index"), *content_words("indexes indexed indexing")}) == 1
    assert content_words("companies")[0] == content_words("company")[0]
    assert content_words("The café's 1,200 seats") == ["caf", "1200", "seat"]
    assert content_words("fourteen") == ["14"]


def test_names_and_numbers():
    assert names("In 1950 Douglas Smith ran vLLM on Linux.") == {"dougla", "smith", "vllm", "linux"}
    assert numbers("from 3.5 to 1,000 in 2019") == {"3.5", "1000", "2019"}


def test_a_short_line_above_a_paragraph_is_its_heading():
    text = (
        "It is read again.\nTimeouts\nHearth waits 120 seconds for the first token unless told\n"
        "otherwise. Then it stops."
    )
    assert [s.text for s in split_sentences(text)] == [
        "It is read again.",
        "Timeouts",
        "Hearth waits 120 seconds for the first token unless told\notherwise.",
        "Then it stops.",
    ]


def test_a_short_line_inside_a_sentence_is_no_heading():
    text = "They met in\nNew York\nBefore the second war that nobody there had wanted to fight."
    assert len(split_sentences(text)) == 1
