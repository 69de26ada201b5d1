"""Extraction of letters, yes and no, dates, JSON, words and patterns: left what a model wrote, right what it means."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from prompts.extract import KINDS, as_text, extractor, is_right
from prompts.extract_place import settle


def read(kind, output):
    found = extractor(kind).find(output)
    return found.key if found else None


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("B) 12 apples", "B"),
        ("The answer is (C).", "C"),
        ("The answer is C, because A is too small.", "C"),
        ("Answer: **D**", "D"),
        (r"\boxed{\text{E}}", "E"),
        ("#### A", "A"),
        ("A good start is to count. Then 3 + 4 = 7, which is option B.", "B"),
        ("The answer is a tree.", None),
        ("The answer is A.", "A"),
        ("The answer is (A) or (B).", None),
        ("The answer is not (A) but (B).", "B"),
        ("Option A is wrong.\nOption B is wrong.\nSo it must be (C)", "C"),
        ("(A) is too small, (B) is too large", None),
        ("The correct answer is option d", "D"),
        ("I think that\nB", "B"),
        ("The answer is F.", None),
        ("The answer is (A). Hmm, no. The answer is (B).", "B"),
        ("<think>(A)? (B)?</think>(C)", "C"),
        ("Nothing fits.", None),
    ],
)
def test_letters(output, expected):
    assert read("choice", output) == expected


def test_letters_and_words_of_ones_own():
    assert read("choice:ABCDEFGHIJ", "The answer is (J).") == "J"
    assert read("choice:AB", "The answer is (C).") is None
    assert read("choice:positive|negative|neutral", "Sentiment: Negative.") == "negative"
    assert read("choice:positive|negative", "It is not positive but negative.") == "negative"
    assert read("choice:positive|negative", "It is positive and negative.") is None
    assert read("choice:positive|very positive", "The answer is very positive.") == "very positive"
    assert read("choice:cat|dog", "A dog is larger.\nThe answer is cat.") == "cat"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("No, because it was flipped once.", "no"),
        ("The answer is yes.", "yes"),
        ("The coin is flipped twice. So, yes.", "yes"),
        ("So the coin is no longer heads up. The answer is no.", "no"),
        ("There are no heads left.", None),
        ("Nobody knows.", None),
        ("No. Wait, two flips cancel out.\nYes.", "yes"),
        ("The statement is True.", "yes"),
        ("**Answer:** False", "no"),
        ("The answer is n", "no"),
        ("The answer is not correct", "no"),
        (r"\boxed{\text{Yes}}", "yes"),
        ("Heads up: it was flipped four times, which is even.", None),
    ],
)
def test_yes_and_no(output, expected):
    assert read("yesno", output) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("2024-02-29", "2024-02-29"),
        ("The answer is 03/04/2024.", "2024-03-04"),
        ("It was on 13/04/2024", "2024-04-13"),
        ("Today is 01/02/2024, so the answer is January 9th, 2024.", "2024-01-09"),
        ("on the 3rd of May, 2021", "2021-05-03"),
        ("3 Sept. 2021", "2021-09-03"),
        ("May 3 2021, then June 4, 2022", "2022-06-04"),
        ("5.3.2024", "2024-03-05"),
        ("2024/3/5", "2024-03-05"),
        ("2023-02-29", None),
        ("May 2021", None),
    ],
)
def test_dates(output, expected):
    assert read("date", output) == expected


def test_the_order_of_day_and_month_can_be_chosen():
    assert read("date:dmy", "03/04/2024") == "2024-04-03"
    assert read("date:dmy", "03/14/2024") == "2024-03-14"


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [
        ("json", 'Sure: {"b": 1.0, "a": [2, 3]}', '{"a":[2,3],"b":1}'),
        ("json", '{"a": 1}\nor rather\n{"a": 2}', '{"a":2}'),
        ("json", 'See {"a": 1}:\n```json\n{"a": 3}\n```\nHope {this} helps', '{"a":3}'),
        ("json", '{"a": 1', None),
        ("json", "{not json} [1, 2]", "[1,2]"),
        ("json", '{"a": NaN}', None),
        ("json:answer", '{"answer": 7.0, "why": "3 + 4"}', "7"),
        ("json:people.1.name", '{"people": [{"name": "Ann"}, {"name": "Bo"}]}', '"Bo"'),
        ("json:answer", '{"answer": 7} {"other": 1}', "7"),
        ("json:answer", '{"other": 1}', None),
        ("json", "[" * 50_000, None),
        ("text", "The answer is the Eiffel Tower!", "eiffel tower"),
        ("text", "Let me think.\n\n**Paris**", "paris"),
        ("text", "The answer is: yajo", "yajo"),
        ("text", " \n ", None),
        (r"regex:(\d+) apples", "3 apples and 5 apples", "5"),
        (r"regex:(?P<unit>\w+)=(?P<answer>\d+)", "kg=7", "7"),
        (r"regex:\d+", "none", None),
    ],
)
def test_json_words_and_patterns(kind, output, expected):
    assert read(kind, output) == expected


@pytest.mark.parametrize(
    "kind", ["numbers", "", "choice:A", "choice:AA", "choice:A,B", "date:ymd", "regex:", "regex:(", "number:2"]
)
def test_what_is_no_kind_of_answer(kind):
    with pytest.raises(UsageError, match="choosing an extractor"):
        extractor(kind)


def test_right_answers_are_read_as_data_sets_hold_them():
    number = extractor("number")
    assert number.read("3 + 4 = <<3+4=7>>7 apples.\n#### 7").key == "7"
    assert number.read("$1,200").key == "1200"
    assert extractor("choice").read("b").key == "B"
    assert extractor("choice:cat|dog").read("Dog").key == "dog"
    assert extractor("yesno").read(as_text(True)).key == "yes"
    assert extractor("json").read(as_text({"b": 1, "a": None})).key == '{"a":null,"b":1}'
    assert extractor("json:answer").read("7").key == read("json:answer", '{"answer": 7}')
    assert extractor("regex:(\\d+) apples").read("7").key == "7"
    assert extractor("text").read("The Hague").key == "hague"
    assert as_text(7) == "7"


def test_an_answer_is_right_when_it_is_one_of_the_right_ones():
    text = extractor("text")
    right = [text.read("Mr Finch"), text.read("the gardener")]
    assert is_right(text.find("The answer is gardener."), right, text)
    assert not is_right(text.find("The answer is Mr Jay."), right, text)
    assert not is_right(None, right, text)


def test_hidden_thoughts_and_made_up_turns_are_no_part_of_an_output():
    assert settle("<think>7</think> 8").strip() == "8"
    assert settle("so 7</think>8") == "8"
    assert settle("7 <think>or 8").strip() == "7"
    assert settle("The answer is 7.\nQ: next?\nA: 8") == "The answer is 7."
    assert settle("Question: How many?\nQuestion: again\nAnswer: 7").endswith("Answer: 7")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["choice", "yesno", "date", "json", "json:a", "text", "regex:a+"]), st.text(max_size=60))
def test_any_text_is_read_or_not_and_never_breaks(kind, output):
    found = extractor(kind).find(output)
    assert found is None or found.key


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
        max_leaves=8,
    )
)
def test_json_is_found_in_prose_whatever_it_holds(value):
    whole = {"value": value}
    assert (
        read("json", f"Here you are: {json.dumps(whole)} That is all.") == extractor("json").read(json.dumps(whole)).key
    )


LOOPS = ["#### ", "<think>", "answer is ", "\\boxed{", "1 ", "(A) or ", "\n", "one ", "$", "[1,", "**", "A:\n", "1'111"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("piece", LOOPS)
@pytest.mark.parametrize("kind", ["number", "choice", "yesno", "text"])
def test_a_model_caught_in_a_loop_does_not_catch_its_reader_too(piece, kind):
    """Quadratic reading of these would take minutes."""
    found = extractor(kind).find(piece * (150_000 // len(piece)))
    assert found is None or len(found.key) <= 150_000


def test_every_kind_is_listed():
    assert {extractor(kind if kind != "regex" else "regex:x").kind.partition(":")[0] for kind in KINDS} == set(KINDS)
