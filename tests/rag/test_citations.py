import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.citations import check, citation, claims, supports
from rag.types import Passage

LEASE = "The rent is 900 euros a month.\nIt is due on the third working day. Pets are not allowed in the flat."
HOUSE = "The house was built in 1931 by Anna Berg. It has four floors and a garden."


def passage(text, source="lease.pdf", start=100, line=5, page=2):
    return Passage(f"id-{source}", text, source, "", start, start + len(text), line, line + text.count("\n"), page)


PASSAGES = [passage(LEASE), passage(HOUSE, "house.md", 0, 1, None)]


def test_a_supported_sentence_keeps_its_marker_and_gets_its_quote():
    checked = check("The rent is 900 euros [1].", PASSAGES)
    assert checked.text == "The rent is 900 euros. [1]"
    (cited,) = checked.citations
    assert (cited.marker, cited.source, cited.page, cited.passage_id) == (1, "lease.pdf", 2, "id-lease.pdf")
    assert cited.quote == "The rent is 900 euros a month."
    assert (cited.start, cited.end, cited.line_start, cited.line_end) == (100, 130, 5, 5)


def test_the_quote_is_the_sentence_that_says_it_and_knows_its_line():
    (cited,) = check("It is due on the third working day [1].", PASSAGES).citations
    assert cited.quote == "It is due on the third working day."
    assert (cited.line_start, cited.start) == (6, 100 + LEASE.index("It is due"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("The rent is 950 euros a month [1].", "another number"),
        ("The rent is 900 euros a month [2].", "another passage"),
        ("The rent is 900 euros a month [3].", "no such passage"),
        ("The rent is 900 euros a month [0].", "no such passage"),
        ("The house was built in 1931 by Carl Berg [2].", "another name"),
        ("The landlord pays for heating, water and repairs [1].", "other words"),
        ("The rent is not due on the third working day [2].", "another passage"),
        ("The house does not have a garden [2].", "it denies what the passage says"),
        ("The documents do not say.", "a refusal"),
        ("Ok [1].", "says nothing"),
        ("", "nothing at all"),
        ("[1]", "a marker alone"),
    ],
)
def test_what_is_not_supported_is_dropped(answer, why):
    checked = check(answer, PASSAGES)
    assert (checked.text, checked.citations) == ("", ()), why


def test_a_true_sentence_survives_a_false_one():
    checked = check("The rent is 900 euros [1]. The house has seven floors [2].", PASSAGES)
    assert checked.text == "The rent is 900 euros. [1]"
    assert [c.marker for c in checked.citations] == [1]
    assert checked.dropped == (("The house has seven floors.", 2),)


def test_of_two_markers_the_false_one_goes():
    assert check("The house has four floors [1][2].", PASSAGES).text == "The house has four floors. [2]"


def test_a_sentence_without_a_marker_is_given_the_one_that_holds_or_goes():
    assert (
        check("It has four floors and a garden. It has a pool.", PASSAGES).text
        == "It has four floors and a garden. [2]"
    )


def test_a_denial_needs_a_denial():
    assert supports(PASSAGES[0], "Pets are not allowed in the flat.")
    assert not supports(PASSAGES[1], "It does not have four floors.")


def test_a_bare_yes_borrows_the_words_of_the_question():
    assert check("Yes [2].", PASSAGES, "Does the house have a garden?").citations
    assert not check("Yes [1].", PASSAGES, "Does the house have a garden?").citations


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Red bird [1]. Cold day [2].", [("Red bird.", (1,)), ("Cold day.", (2,))]),
        ("Red bird. [1] Cold day. [2]", [("Red bird.", (1,)), ("Cold day.", (2,))]),
        ("Red bird.[1][3] Cold day.", [("Red bird.", (1, 3)), ("Cold day.", ())]),
        ("Red bird [1, 3]; cold day [2-4].", [("Red bird; cold day.", (1, 3, 2, 4))]),
        ("Red bird【2】.", [("Red bird.", (2,))]),
        ("- Red bird [1]\n- Cold day [2]", [("- Red bird", (1,)), ("- Cold day", (2,))]),
        ("See [1](http://x.org) now.", [("See [1](http://x.org) now.", ())]),
        ("Use a[0] here [x].", [("Use a here [x].", (0,))]),
    ],
)
def test_claims(answer, expected):
    assert [(claim.text, claim.markers) for claim in claims(answer)] == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["The rent is 900 euros", " [1]", "[2]", "[1, 2]", ". ", "\n", "The house has four floors", "[99]", "["]
        ),
        max_size=12,
    ).map("".join)
    | st.text(max_size=60)
)
def test_every_citation_stands_in_its_passage_and_every_marker_has_one(answer):
    checked = check(answer, PASSAGES)
    for cited in checked.citations:
        found = PASSAGES[cited.marker - 1]
        assert found.text[cited.start - found.start : cited.end - found.start] == cited.quote
    cited = {c.marker for c in checked.citations}
    assert {n for claim in claims(checked.text) for n in claim.markers} == cited
    assert bool(checked.text) == bool(checked.citations)


def test_a_citation_over_two_lines():
    cited = citation(1, PASSAGES[0], 0, LEASE.index("Pets") - 1)
    assert (cited.line_start, cited.line_end) == (5, 6)
