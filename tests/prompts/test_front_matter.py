"""The file format: front matter that is typed and bounded, sections of turns, and errors that say the line."""

import math
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.types import Sampling, assistant, system, user
from decoder.yaml_data import BadYaml, read_yaml
from prompts import MalformedPrompt, Prompt, Variable
from prompts.front_matter import MOST_BYTES, parse

WHOLE = """---
name: greeting
version: "1.0"
purpose: >
  Greets
  a person.
variables:
  person: {type: string, description: Who it is., example: Ann}
  tone:
    default: warm
    stable: true
  notes: {type: untrusted, default: []}
  history: {type: messages, default: []}
  nothing: {default: null}
output:
  type: object
  properties: {greeting: {type: string}}
sampling: {temperature: 0.5, max_tokens: 60, stop: ["END"], n: 2, seed: 7}
---

## system

Be {{ tone }}. {{ untrusted_rule }}

## insert history

## user
Greet {{ person }}.
## not a role: this stays
\\## user
\\\\## user
{{ notes }}{{ nothing }}


## assistant
Hello
"""


def test_everything_is_read():
    made = parse(WHOLE, "greeting.md")
    assert (made.name, made.version, made.purpose) == ("greeting", "1.0", "Greets a person.")
    assert made.variables[:2] == (
        Variable("person", description="Who it is.", example="Ann"),
        Variable("tone", default="warm", stable=True),
    )
    assert [v.type for v in made.variables] == ["string", "string", "untrusted", "messages", "string"]
    assert made.variables[4].default is None
    assert made.schema == {"type": "object", "properties": {"greeting": {"type": "string"}}}
    assert made.sampling == Sampling(temperature=0.5, max_tokens=60, stop=("END",), n=2, seed=7)
    rendered = made.render(person="Ann", history=[{"role": "assistant", "content": "Hm"}])
    assert [m.role for m in rendered] == ["system", "assistant", "user", "assistant"]
    assert rendered[0].text.startswith("Be warm. ")
    assert rendered[2:] == (
        user("Greet Ann.\n## not a role: this stays\n## user\n\\## user\nNone"),
        assistant("Hello"),
    )


def file(front="", body="## user\nHi", head="name: a\nversion: 1\npurpose: b\n"):
    return f"---\n{head}{front}\n---\n{body}"


def test_the_least_of_a_prompt():
    made = parse(file(), "a.md")
    assert made == Prompt("a", "1", "b", messages=made.messages)
    assert made.render() == (user("Hi"),)


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing():
    windows = "\ufeff" + WHOLE.replace("\n", "\r\n")
    assert parse(windows, "a.md") == parse(WHOLE, "a.md")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "no front matter"),
        ("name: a", 1, "no front matter"),
        ("---\nname: a\n", 1, "no front matter"),
        (file(head="- a\n"), 2, "not a mapping"),
        (file(head="name: a\nversion: 1\n"), 1, "purpose is missing"),
        (file(head="name: A b\nversion: 1\npurpose: b\n"), 2, "'A b' cannot name a prompt"),
        (file(head="name: a\nversion: 1.10\npurpose: b\n"), 3, "1.10 would be 1.1"),
        (file(head="name: a\nversion: 1\npurpose: [b]\n"), 4, "no text"),
        (file("purpos: c"), 5, "unknown key 'purpos'.*Known: purpose"),
        (file("name: c"), 5, "'name' is repeated"),
        (file("variables:\n  x: {type: string, type: integer}"), 6, "'type' is repeated"),
        (file("variables: [x]"), 5, "variables is not a mapping"),
        (file("variables:\n  x: string"), 6, "the variable x is not a mapping"),
        (file("variables:\n  x: {type: text}"), 6, "'text' is no type"),
        (file("variables:\n  x: {type: [string]}"), 6, "is no type"),
        (file("variables:\n  x: {typ: string}"), 6, "Known: type"),
        (file("variables:\n  x:\n    type: integer\n    default: a"), 8, "default of x is integer"),
        (file("variables:\n  x:\n    example: 3"), 7, "example of x is string"),
        (file("variables:\n  x: {stable: 1}"), 6, "stable is neither"),
        (file("variables:\n  1: {type: string}"), 6, "the key 1 is no text"),
        (file("variables:\n  a-b: {type: string}"), 1, "'a-b' cannot name a variable"),
        (file("sampling: {temperature: hot}"), 5, "temperature has no value of its type"),
        (file("sampling: {temperature: true}"), 5, "temperature has no value of its type"),
        (file("sampling: {temperature: 3}"), 5, r"temperature=3 is outside \[0, 2\]"),
        (file("sampling: {stop: END}"), 5, "stop has no value of its type"),
        (file("sampling: {stop: [1]}"), 5, "stop has no value of its type"),
        (file("sampling: {heat: 3}"), 5, "unknown key 'heat'"),
        (file("output: {type: objekt}"), 1, "unknown type 'objekt'"),
        (file("output: 3"), 5, "output is not a mapping"),
        (file("x: &a [1]\ny: *a"), 5, "anchors and aliases are not taken"),
        (file("x: !!python/object:os.system [1]"), 5, "tags are not taken"),
        (file("x: !!binary aGk="), 5, "tags are not taken"),
        (file("x: 2020-01-01"), 5, "date or bytes"),
        (file("x: 2020-99-99"), 5, "is no value"),
        (file("? [a]\n: b"), 5, "a key is a list"),
        (file("x: [1"), 5, "no YAML"),
        (file("x: '\x00'"), 5, "no YAML"),
        (file("x: " + "[" * 60 + "]" * 60), 5, "nested deeper"),
        (file("x: " + "a" * 40_000), 1, "longer than 32 KiB"),
        (file(body="x" * (MOST_BYTES + 1)), 1, "larger than 256 KiB"),
        (file(body="Hi"), 7, "text before the first section"),
        (file(body=""), 1, "no turns"),
        (file(body="\n## user\nHi\n## insert x\n\nmore"), 12, "text under an insert"),
        (file(body="## user\nHi\n## users\n"), 9, "Did you mean ## user"),
        (file(body="## User\nHi"), 7, "Did you mean ## user"),
        (file(body="## sytem\nHi"), 7, "Did you mean ## system"),
        (file(body="## insert x"), 7, "nothing|not declared"),
        (file(body="## user\n\n\nHi\n{% if %}"), 11, "Expected an expression"),
        (file(body="## user\nHi\n\n## assistant\n{{ x }}"), 11, "x is used and not declared"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(text, line, reason):
    with pytest.raises(MalformedPrompt) as caught:
        parse(text, "evil.md")
    assert re.search(reason, str(caught.value)), str(caught.value)
    assert caught.value.line == line, str(caught.value)
    assert str(caught.value).startswith(f"reading a prompt: evil.md, line {line}: ")
    assert "\n" not in str(caught.value)


LAUGHS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'ha'}]" for n in range(30))


def test_a_billion_laughs_are_none():
    with pytest.raises(BadYaml, match="aliases"):
        read_yaml(LAUGHS)


# PyYAML itself does not write every line break so that it reads it again.
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.just("\n"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4), max_leaves=12
)


@settings(max_examples=200, deadline=None)
@given(DATA, st.booleans())
def test_plain_data_comes_back_as_it_was_written(data, flow):
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    assert read_yaml(text).plain() == data


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t0.~") | st.characters()))
def test_any_text_is_read_as_yaml_reads_it_or_refused(text):
    try:
        found = read_yaml(text).plain()
    except BadYaml as error:
        assert 1 <= error.line <= text.count("\n") + text.count("\r") + text.count("\x85") + 3
        return
    expected = yaml.safe_load(text)
    assert found == expected or (isinstance(found, float) and math.isnan(found))


PIECES = ["", "---", "## user", "## insert person", "{{", "}}", "  x: [", "&a *a", "\x00"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_with_a_line_of_it(data):
    lines = WHOLE.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        piece = data.draw(
            st.sampled_from(["", "---", "## user", "## insert person", "{{", "}}", "  x: [", "&a *a", "\x00"])
        )
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = lines[at][:cut] + piece + lines[at][cut + data.draw(st.integers(0, 3)) :]
    text = "\n".join(lines)
    try:
        assert isinstance(parse(text, "damaged.md"), Prompt)
    except MalformedPrompt as error:
        assert 1 <= error.line <= text.count("\n") + 2
        assert "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("-#\\ \nuserinsystem{}%:") | st.characters(), max_size=200))
def test_any_text_is_a_prompt_or_refused(text):
    for whole in (text, file(body=text), file(front=text)):
        try:
            assert parse(whole, "any.md").messages
        except MalformedPrompt as error:
            assert error.line >= 1


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
TURNS = st.tuples(st.sampled_from(["system", "user", "assistant"]), st.lists(WORDS, min_size=1, max_size=4))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.lists(WORDS, min_size=1, max_size=4)), min_size=1
    )
)
def test_turns_written_to_a_file_come_back(turns):
    from prompts.sandbox import escape

    makers = {"system": system, "user": user, "assistant": assistant}
    texts = [(role, "\n".join(lines).strip()) for role, lines in turns]
    texts = [(role, re.sub(r"^\\*##", "x##", text, flags=re.M)) for role, text in texts if text.strip()]
    body = "\n".join(f"## {role}\n{escape(text)}\n" for role, text in texts)
    if texts:
        assert parse(file(body=body), "a.md").render() == tuple(makers[role](text) for role, text in texts)
