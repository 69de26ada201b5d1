"""The cached prefix: what a conversation begins with whatever the volatile values are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompts
from prompts.prefix import Prefix, stable_prefix
from prompts.template import Prompt
from prompts.turns import Turn
from prompts.variables import REQUIRED, Variable


def the_prompt(system, user, *variables):
    return Prompt("it", variables=variables, messages=(Turn("system", system), Turn("user", user)))


def test_the_prefix_ends_where_the_first_volatile_value_begins():
    prompt = the_prompt(
        "Be {{ tone }}.", "Question: {{ question }}", Variable("question"), Variable("tone", stable=True)
    )
    values = {"question": "Why?", "tone": "brief"}
    prefix = stable_prefix(prompt, values)
    assert prefix == Prefix(whole=1, characters=len("Question: "))
    assert [m.text for m in prefix.of(prompt.render(**values))] == ["Be brief.", "Question: "]


def test_a_value_at_the_very_beginning_leaves_no_prefix():
    prompt = the_prompt("{{ who }} speaks.", "Go on.", Variable("who"))
    assert stable_prefix(prompt, {"who": "Ann"}) == Prefix(0)


def test_a_prompt_without_volatile_values_is_prefix_as_a_whole():
    prompt = the_prompt("Be {{ tone }}.", "Go on.", Variable("tone", default="kind"))
    assert stable_prefix(prompt, {}) == Prefix(2)


def test_turns_that_are_inserted_end_it():
    prompt = prompts.load("grounded-answer")
    values = {"passages": ["The rent is 900 euros."], "question": "What is the rent?"}
    assert stable_prefix(prompt, values) == Prefix(1)


def test_values_that_do_not_fit_are_an_error():
    with pytest.raises(prompts.MissingValue):
        stable_prefix(the_prompt("x", "{{ q }}", Variable("q")), {})


def test_a_template_that_renders_no_other_value_falls_back_to_its_turns():
    prompt = the_prompt("Rules.", "{{ (rows | first).name }}", Variable("rows", "array"))
    assert stable_prefix(prompt, {"rows": [{"name": "Ann"}]}) == Prefix(1)


@pytest.mark.parametrize("name", list(prompts.library()))
def test_every_library_prompt_keeps_at_least_its_stable_turns(name):
    prompt = prompts.load(name)
    values = {v.name: v.example for v in prompt.variables if v.example is not REQUIRED}
    messages = prompt.render(**values)
    kept = stable_prefix(prompt, values)
    stable = sum(1 for part in prompt.messages[: prompt.stable_turns] if isinstance(part, Turn))
    assert kept.whole >= min(stable, len(messages))


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(before=TEXT.filter(lambda t: not set(t) & set("{}%#")), one=TEXT, other=TEXT)
def test_any_two_renderings_begin_with_the_prefix(before, one, other):
    prompt = the_prompt("Rules.", f"{before}|{{{{ q }}}} end", Variable("q"))
    prefix = stable_prefix(prompt, {"q": one})
    assert prefix.of(prompt.render(q=one)) == prefix.of(prompt.render(q=other))
