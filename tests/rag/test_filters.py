"""What may be searched: conditions as texts, labels, and what cannot be a field, a name or a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoder.errors import UsageError
from rag.filters import Access, Condition, Where, check_metadata, parse_where, where
from rag.labels import Labels
from rag.store import fact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("author=Ann", Condition("author", any_of=("Ann",))),
        ("author = Ann | Bob ", Condition("author", any_of=("Ann", "Bob"))),
        ("draft!=true", Condition("draft", none_of=(True,))),
        ("year>=2020", Condition("year", at_least=2020)),
        ("price<=9.5", Condition("price", at_most=9.5)),
        ('id="007"', Condition("id", any_of=("007",))),
        ("id=007", Condition("id", any_of=(7,))),
        ("title=a=b", Condition("title", any_of=("a=b",))),
    ],
)
def test_conditions_are_written_as_texts(text, expected):
    assert parse_where([text]) == Where((expected,))


@pytest.mark.parametrize(
    "text", ["", "author", "=Ann", "author=", "no key=1", "1st=2", "year>=soon", "year>=true", "x>1"]
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(UsageError, match="filtering"):
        parse_where([text])


@given(st.text(max_size=80))
def test_any_text_is_a_condition_or_a_usage_error(text):
    try:
        [condition] = parse_where([text]).conditions
    except UsageError:
        return
    assert condition.any_of or condition.none_of or condition.at_least is not None or condition.at_most is not None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"at_least": float("nan")},
        {"at_most": "x"},
        {"any_of": (None,)},
        {"any_of": (2**63,)},
        {"any_of": ("x" * 2000,)},
    ],
)
def test_conditions_that_say_nothing_or_the_impossible_are_refused(values):
    with pytest.raises(UsageError):
        Condition("year", **values)


def test_a_mapping_says_what_equals_what():
    assert where({"author": "Ann", "year": [2020, 2021]}).conditions == (
        Condition("author", any_of=("Ann",)),
        Condition("year", any_of=(2020, 2021)),
    )


@pytest.mark.parametrize("name", ["", "two words", "a,b", "x" * 200, "tab\t"])
def test_names_that_cannot_be_a_reader_or_a_tenant_are_refused(name):
    with pytest.raises(UsageError):
        Access("acme", (name,))
    with pytest.raises(UsageError):
        Labels("acme", (name,))


@pytest.mark.parametrize(
    "metadata",
    [
        {"source": "x"},
        {"no key": 1},
        {"a": None},
        {"a": {}},
        {"a": [1]},
        {"a": "x" * 2000},
        {f"k{n}": 1 for n in range(99)},
    ],
)
def test_metadata_that_no_filter_could_meet_is_refused(metadata):
    with pytest.raises(UsageError):
        check_metadata(metadata)


@given(
    st.one_of(st.integers(-(2**53), 2**53), st.booleans(), st.text(max_size=9)),
    st.one_of(st.integers(), st.text(max_size=9)),
)
def test_facts_are_equal_exactly_for_values_of_one_kind_that_are(one, two):
    same = one == two and isinstance(one, bool) == isinstance(two, bool)
    assert (fact("k", one) == fact("k", two)) == same


def test_a_whole_number_is_itself_as_a_float_and_no_text():
    assert fact("year", 2020) == fact("year", 2020.0) != fact("year", "2020")
    assert fact("x", True) != fact("x", 1)
