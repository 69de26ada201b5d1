"""Techniques: from prompt to prompt, the stable part first."""

from dataclasses import dataclass
from typing import TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from decoder.errors import ConstraintRefused
from decoder.types import assistant, system, user
from prompts import (
    Example,
    Prompt,
    Turn,
    Variable,
    balanced,
    chain_of_thought,
    diverse,
    few_shot,
    load,
    nearest,
    output_format,
    random_examples,
    role,
)
from prompts.errors import MissingValue, TechniqueError

ASK = Prompt("ask", variables=(Variable("question"),), messages=(Turn("user", "Q: {{ question }}"),))
RULED = Prompt(
    "ruled",
    variables=(Variable("tone", default="plain"), Variable("question")),
    messages=(Turn("system", "Be {{ tone }}."), Turn("user", "Q: {{ question }} ({{ tone }})")),
)


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Place:
    name: str


class Thing(TypedDict):
    name: str


class Opaque:
    """Not a word of what it holds."""


def texts(prompt, **values):
    return [m.text for m in prompt.render(**{"question": "Why?", **values})]


# Role


def test_a_role_stands_first():
    assert texts(role(RULED, "a nurse")) == ["You are a nurse.\n\nBe plain.", "Q: Why? (plain)"]
    assert texts(role(ASK, "a nurse", "children", "warm")) == [
        "You are a nurse. You write for children. Your tone is warm.",
        "Q: Why?",
    ]


@given(st.text(st.sampled_from("{}%#\\ \na"), max_size=20))
def test_what_a_technique_adds_is_no_template(text):
    assert texts(role(RULED, text))[0] == f"You are {text}.\n\nBe plain."
    assert texts(few_shot(RULED, [Example("{{ x }}", text + "a")]))[2] == text + "a"


def test_what_changes_keeps_its_place_after_what_a_technique_adds():
    volatile = Prompt("v", variables=(Variable("question"),), messages=(Turn("system", "About {{ question }}"),))
    (text,) = texts(chain_of_thought(volatile))
    assert text.startswith("Think step by step")
    assert text.endswith("\n\nAbout Why?")


# Chain of thought


def test_reasoning_ends_in_a_line_that_code_can_read():
    first, _ = texts(chain_of_thought(ASK, "one number"))
    assert "step by step" in first
    assert "`Answer: …`, with one number" in first
    assert chain_of_thought(chain_of_thought(ASK)) == chain_of_thought(ASK)


@pytest.mark.parametrize(
    "made", [chain_of_thought(output_format(ASK, Person)), output_format(chain_of_thought(ASK), Person)]
)
def test_before_json_it_is_the_first_field_in_either_order(made):
    assert list(made.schema["properties"]) == ["reasoning", "name", "age"]
    assert made.schema["required"] == ["reasoning", "name", "age"]
    assert made.output is Person
    assert "field `reasoning`, which comes first" in made.render(question="Why?")[0].text


@pytest.mark.parametrize("form", [{"type": "array"}, {"type": "object"}, list[int]])
def test_json_that_is_no_object_has_no_place_for_it(form):
    with pytest.raises(TechniqueError, match="no object with properties"):
        chain_of_thought(output_format(ASK, form))


def test_a_field_of_that_name_is_not_overwritten():
    with pytest.raises(TechniqueError, match="has a field reasoning already"):
        chain_of_thought(output_format(ASK, {"type": "object", "properties": {"reasoning": {}}}))


# Output format


@pytest.mark.parametrize("form", [Person, Place, Thing, list[Person], {"type": "object"}, '{"type": "object"}'])
def test_a_form_becomes_a_schema_a_constraint_and_an_instruction(form):
    made = output_format(RULED, form)
    assert made.constraint.kind == "json"
    assert texts(made)[0].startswith("Be plain.\n\nReply with one JSON value")
    assert (made.output is None) == isinstance(form, (str, dict))


def test_what_is_no_form_is_refused():
    with pytest.raises(ConstraintRefused):
        output_format(ASK, {"type": "strin"})
    with pytest.raises(ConstraintRefused):
        output_format(ASK, Opaque)


# Few-shot


def test_examples_take_the_form_of_the_question():
    made = few_shot(RULED, [Example("Who?", "A: Ann."), Example({"question": "Where?", "tone": "loud"}, "A: Here.")])
    assert made.render(question="Why?") == (
        system("Be plain."),
        user("Q: Who? (plain)"),
        assistant("A: Ann."),
        user("Q: Where? (loud)"),
        assistant("A: Here."),
        user("Q: Why? (plain)"),
    )


def test_the_best_may_stand_last_and_examples_stand_before_a_conversation():
    asked = load("grounded-answer").bind(passages=[])
    made = few_shot(asked, [Example({"question": q, "passages": [q]}, q) for q in "ab"], best_last=True)
    rendered = made.render(question="c", history=[assistant("before")])
    assert [m.text for m in rendered if m.role == "assistant"] == ["b", "a", "before"]


def test_a_budget_keeps_the_best_that_fit():
    cases = [Example("a " * 10, "x"), Example("b " * 50, "x"), Example("c", "x")]
    words = lambda text: len(text.split())  # noqa: E731
    made = few_shot(ASK, cases, budget=20, count_tokens=words)
    assert [t[:4] for t in texts(made)] == ["Q: a", "x", "Q: c", "x", "Q: W"]
    assert len(texts(few_shot(ASK, cases, budget=0, count_tokens=words))) == 1
    with pytest.raises(TechniqueError, match="nothing that counts"):
        few_shot(ASK, cases, budget=20)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), max_size=8), st.integers(0, 100))
def test_no_choice_exceeds_the_budget(lengths, budget):
    cases = [Example("w " * n, "x") for n in lengths]
    made = few_shot(ASK, cases, budget=budget, count_tokens=lambda text: len(text.split()))
    assert sum(len(text.split()) for text in texts(made)[:-1]) <= budget


def test_examples_that_do_not_fit_are_refused():
    two = Prompt("two", variables=(Variable("a"), Variable("b")), messages=(Turn("user", "{{ a }} {{ b }}"),))
    with pytest.raises(TechniqueError, match="uses a, b"):
        few_shot(two, [Example("x", "y")])
    with pytest.raises(MissingValue, match=r"b \(string\) has no value"):
        few_shot(two, [Example({"a": "x"}, "y")])
    with pytest.raises(TechniqueError, match="does not use"):
        few_shot(ASK, [Example({"question": "x", "other": "z"}, "y")])
    with pytest.raises(TechniqueError, match="no user turn"):
        few_shot(Prompt("s", messages=(Turn("system", "a"),)), [])


# Which examples

CITIES = [Example(f"{word} {n}", str(n), word) for n in range(4) for word in ("north", "south", "east")][:10]


def embed(texts):
    """Counts of letters: near when they share them."""
    return [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


def test_random_ones_are_the_same_for_the_same_seed():
    assert random_examples(CITIES, 4, seed=1) == random_examples(CITIES, 4, seed=1)
    assert len({random_examples(CITIES, 4, seed=seed) for seed in range(10)}) > 5
    assert len(set(random_examples(CITIES, 4, seed=1))) == 4
    assert set(random_examples(CITIES, 99, seed=1)) == set(CITIES)


def test_the_nearest_come_first():
    assert [e.label for e in nearest(CITIES, "the north", 4, embed)] == ["north"] * 4
    found = nearest([Example({"a": "zz", "b": "q"}, ""), Example("ab", "")], "q zz", 1, embed)
    assert found[0].input == {"a": "zz", "b": "q"}


def test_diverse_ones_are_near_and_unlike_each_other():
    by_hand = [Example("aa", ""), Example("aaa", ""), Example("ab", ""), Example("b", "")]
    assert [e.input for e in diverse(by_hand, "a", 3, embed, balance=1)] == ["aa", "aaa", "ab"]
    # "aaa" is as near as "aa" and says nothing new: cosines to "a" are 1, 1, .707, 0.
    assert [e.input for e in diverse(by_hand, "a", 3, embed, balance=0.4)] == ["aa", "b", "ab"]
    assert diverse(by_hand, "a", 4, embed, balance=1) == nearest(by_hand, "a", 4, embed)
    with pytest.raises(TechniqueError, match="outside"):
        diverse(by_hand, "a", 3, embed, balance=1.5)


def test_balanced_ones_show_every_label():
    assert [e.label for e in balanced(CITIES, 6)] == ["north", "south", "east"] * 2
    assert [e.input for e in balanced(CITIES, 3)] == ["north 0", "south 0", "east 0"]
    assert balanced(CITIES, 6, seed=3) == balanced(CITIES, 6, seed=3) != balanced(CITIES, 6, seed=4)
    rare = [Example("x", "", "rare"), *CITIES]
    assert [e.label for e in balanced(rare, 8)].count("rare") == 1


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=20), st.integers(1, 20), st.none() | st.integers())
def test_no_label_is_preferred_while_others_last(labels, count, seed):
    pool = [Example(f"{label}{n}", "", label) for n, label in enumerate(labels)]
    chosen = [e.label for e in balanced(pool, count, seed)]
    assert len(chosen) == min(count, len(pool))
    for label in set(labels):
        if chosen.count(label) < labels.count(label):  # it has not run out
            assert max(chosen.count(other) for other in set(labels)) <= chosen.count(label) + 1


@pytest.mark.parametrize(
    "broken", [lambda texts: [[1.0]], lambda texts: [[1.0] * (n + 1) for n, _ in enumerate(texts)]]
)
def test_an_embedder_gives_one_vector_a_text(broken):
    with pytest.raises(TechniqueError, match="embedder"):
        nearest(CITIES, "a", 1, broken)


def test_one_example_is_the_least_and_vectors_of_nothing_harm_nobody():
    with pytest.raises(TechniqueError, match="0 examples"):
        nearest(CITIES, "a", 0, embed)
    assert len(nearest(CITIES, "123", 2, embed)) == 2
    assert random_examples([], 1, seed=0) == balanced([], 1) == nearest([], "a", 1, embed) == ()


# Together


def test_they_compose_and_the_stable_part_stays_the_same():
    cases = [Example("Who?", '{"reasoning": "", "name": "Ann", "age": 3}')]
    made = few_shot(output_format(chain_of_thought(role(RULED, "a clerk")), Person), cases)
    one, other = made.render(question="One?"), made.render(question="Other?")
    assert one[:-1] == other[:-1]
    assert [m.role for m in one] == ["system", "user", "assistant", "user"]
    assert made.stable_turns == 3
