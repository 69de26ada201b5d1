"""The parser of free text: tolerant of form, never of meaning."""

import json
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.textual import Turn, Unreadable, read_turn

CALL = {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    "text",
    [
        'Action: {"name": "add", "arguments": {"a": 1, "b": "x"}}',
        'Action: {"action": "add", "action_input": {"a": 1, "b": "x"}}',
        'Action: {"tool": "add", "args": {"a": 1, "b": "x"}}',
        'Action: {"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}',
        'Action: add({"a": 1, "b": "x"})',
        'Action: add( { "a" : 1 , "b" : "x" } )',
        'Action: add(a=1, b="x")',
        "Action: add(a = 1, b = 'x',)",
        'Action: add {"a": 1, "b": "x"}',
        'Action: add\nAction Input: {"a": 1, "b": "x"}',
        'Action: `add`\nAction Input: ```json\n{"a": 1, "b": "x"}\n```',
        '**Action:** **add**({"a": 1, "b": "x"})',
        'Action 1: add({"a": 1, "b": "x"})',
        'action: add({"a": 1, "b": "x"})',
        'Action:\n```json\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n```',
        '```json\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n```',
        '```\nThought: I add.\nAction: add({"a": 1, "b": "x"})\n```',
        '<tool_call>{"name": "add", "arguments": {"a": 1, "b": "x"}}</tool_call>',
        'I add.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": "x"}}\n</tool_call>',
        'Action: <tool_call>{"name": "add", "arguments": {"a": 1, "b": "x"}}',
        '{"name": "add", "arguments": {"a": 1, "b": "x"}}',
        'Action: add({"a": 1, "b": "x",})',
        "Action: add({'a': 1, 'b': 'x'})",
        'Action: add({"a": 1, "b": "x"})\nObservation: 3\nThought: so\nFinal Answer: 3',
        'Action: add({"a": 1, "b": "x"})\nThat gives the sum.',
    ],
)
def test_an_action_is_read_in_any_of_its_forms(text):
    turn = read_turn(text)
    assert (turn.tool, turn.arguments) == ("add", CALL)


@pytest.mark.parametrize(
    "text",
    [
        'Action: add({"a": 1, "b": })',
        'Action: add({"a": 1, "b": "x"',
        "Action: add({a: 1})",
        'Action: {"name": "add", "arguments": {"a": 1, "b"}}',
        'Action: {"name": "add", "arguments": "not an object"}',
        'Action: {"name": "add", "arguments": "{\\"a\\": 1} {}"}',
        'Action: {"name": "add", "arguments": null}',
        'Action: {"name": "add", "arguments": []}',
        'Action: {"name": "add"}',
        "Action: add",
        "Action: add\nAction Input:",
        "Action: add\nAction Input: 3 and 4",
        'Action: add\nAction Input: {"a": 1',
        "Action: add\nAction Input: None",
        '<tool_call>{"name": "add", "arguments": {"a": }}</tool_call>',
    ],
)
def test_malformed_arguments_never_become_empty_ones(text):
    with pytest.raises(Unreadable, match="Action: "):
        read_turn(text)


def test_arguments_are_empty_only_where_that_is_written():
    for text in ("Action: now()", "Action: now({})", "Action: now\nAction Input: {}"):
        assert read_turn(text) == Turn("", "now", {}, text)


@pytest.mark.parametrize(
    "text",
    [
        'Thought: The page says "Answer: 41", which I doubt.\nAction: add({"a": 1, "b": "x"})',
        'Thought: The form reads\nAnswer: 41\nbut I check.\nAction: add({"a": 1, "b": "x"})',
        'The form reads\nAnswer: 41\nAction: add({"a": 1, "b": "x"})',
        '<think>\nFinal Answer: 41\n</think>\nAction: add({"a": 1, "b": "x"})',
        'Thought: It says\n```\nFinal Answer: 41\n```\nand I go on.\nAction: add({"a": 1, "b": "x"})',
    ],
)
def test_an_answer_inside_a_thought_does_not_end_the_run(text):
    turn = read_turn(text)
    assert turn.tool == "add"
    assert "41" in turn.thought


def test_a_bare_answer_after_a_thought_is_asked_for_again_and_not_guessed():
    with pytest.raises(Unreadable, match="Final Answer: …"):
        read_turn("Thought: The quiz has a line\nAnswer: 41")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Final Answer: 42", "42"),
        ("Answer: 42", "42"),
        ("Thought: I know it.\nFinal Answer: 42", "42"),
        ("Thought: I know it.\n**Final Answer:** 42", "42"),
        ("Final Answer: first\n\nsecond: line\n", "first\n\nsecond: line"),
        ('Final Answer:\n```python\nAction: "quoted"\n```', '```python\nAction: "quoted"\n```'),
        ('Final Answer: {"a": 1}', '{"a": 1}'),
    ],
)
def test_an_answer_ends_the_run(text, answer):
    turn = read_turn(text)
    assert (turn.tool, turn.arguments) == ("final_answer", {"answer": answer})


def test_a_typed_answer_is_read_as_a_value():
    assert read_turn('Final Answer: {"sum": 3}', typed_answer=True).arguments == {"sum": 3}
    assert read_turn("Final Answer: 3", typed_answer=True).arguments == {"answer": 3}
    for text in ("Final Answer: about three", "Final Answer: 3 or {4}"):
        with pytest.raises(Unreadable):
            read_turn(text, typed_answer=True)


def test_an_answer_that_was_cut_off_is_none():
    with pytest.raises(Unreadable, match="not whole"):
        read_turn("Final Answer: it is 4", cut_off=True)
    assert read_turn("Action: add(a=4)", cut_off=True).arguments == {"a": 4}


@pytest.mark.parametrize(
    "text",
    [
        "Action: a({})\nAction: b({})",
        "Action: a({})\nFinal Answer: done",
        "Final Answer: done\nAction: a({})",
        "Action: a({})\nThought: no, rather not",
        'Action: a({})\n{"name": "b", "arguments": {}}',
        "Action: a()\nb(x=1)",
        '<tool_call>{"name": "a", "arguments": {}}</tool_call><tool_call>{"name": "b", "arguments": {}}</tool_call>',
        'Action: add({"a": 1, "a": 2})',
        "Action: add(a=1, a=2)",
        "Action: add(1, 2)",
        "Action: search[hearth]",
        "Action: add({'a': 'it's'})",
        'Action: add({"a": 007})',
        'Action: add({"a": NaN})',
        'Action: add({"a": 1e999})',
        'Action: add({"a": "\\d+"})',
        'Action: {"name": "a", "tool": "b", "arguments": {}}',
        'Action: {"name": "a", "arguments": {}, "args": {}}',
        "Thought: I wonder.",
        "Observation: 3",
        "Final Answer:",
        "<think>I never end\nAction: a({})",
        "",
    ],
)
def test_what_could_be_meant_in_two_ways_is_unreadable(text):
    with pytest.raises(Unreadable):
        read_turn(text)


def test_an_invented_observation_is_no_part_of_what_was_written():
    turn = read_turn("Thought: I look.\nAction: look(at='it')\nObservation: a hearth\nAction: look(at='me')")
    assert turn == Turn("I look.", "look", {"at": "it"}, "Thought: I look.\nAction: look(at='it')")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"\\ud83d\\udd25"', "🔥"),
        ('"\\n\\t\\"\\\\"', '\n\t"\\'),
        ("'\\''", "'"),
        ('"line\nline"', "line\nline"),
        ("[True, False, None, true, false, null]", [True, False, None, True, False, None]),
        ("-1.5e-3", -0.0015),
        ("[1, [2, {'k': []}],]", [1, [2, {"k": []}]]),
    ],
)
def test_values(written, value):
    assert read_turn(f"Action: f(v={written})").arguments == {"v": value}


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
keys = st.text(string.ascii_letters, min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(names, st.dictionaries(keys, values, max_size=4), st.booleans())
def test_what_is_written_is_what_is_read(name, arguments, plain):
    written = json.dumps(arguments, ensure_ascii=plain)
    action = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=plain)
    by_name = ", ".join(f"{key}={json.dumps(value)}" for key, value in arguments.items())
    forms = [
        f"{name}({written})",
        f"{name}({by_name})",
        f"{name}\nAction Input: {written}",
        action,
        f"```\n{action}\n```",
    ]
    for form in forms:
        assert read_turn(f"Thought: so.\nAction: {form}") == Turn(
            "so.", name, arguments, f"Thought: so.\nAction: {form}"
        )
    tagged = f"<tool_call>{action}</tool_call>"
    assert read_turn(tagged) == Turn("", name, arguments, tagged)


PIECES = [
    "Thought:",
    "Action:",
    "Action Input:",
    "Observation:",
    "Final Answer:",
    "Answer:",
    "\n",
    "```",
    "<tool_call>",
]
PIECES += [
    "</tool_call>",
    "<think>",
    "</think>",
    '{"name": "a", "arguments": ',
    "{",
    "}",
    "(",
    ")",
    "[",
    '"',
    "'",
    "\\",
]
PIECES += ["\\u", "a", "=", ":", ",", " ", "1", "null"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join), st.booleans(), st.booleans())
@example("Action: a(\x00)", False, False)
def test_anything_gives_a_turn_or_is_unreadable(text, typed, cut_off):
    try:
        turn = read_turn(text, typed_answer=typed, cut_off=cut_off)
    except Unreadable as error:
        assert str(error)
    else:
        assert turn.tool
        assert turn.text in text
        json.dumps(turn.arguments, allow_nan=False)


@given(st.text(max_size=60).filter(lambda t: t.strip()))
def test_half_an_action_is_never_a_whole_one(text):
    whole = f"Action: {json.dumps({'name': 'add', 'arguments': {'a': text}})}"
    for end in range(len(whole)):
        with pytest.raises(Unreadable):
            read_turn(whole[:end], cut_off=True)


@pytest.mark.parametrize(
    "text",
    [
        "Action: f(" + "[" * 200_000,
        "Action: f(" + '{"a":' * 100_000,
        "Action: f(v=" + "9" * 200_000 + ")",
        'Action: f(v="' + "\\" * 200_001,
        "Thought:\n" * 50_000,
        "```\n" * 100_000,
        "<tool_call>\n" * 50_000,
        "Action: f(v='" + "x" * 1_000_000,
        "\n" * 500_000 + " " * 500_000,
        "Action: " + "a" * 500_000,
    ],
)
@pytest.mark.timeout(10)
def test_long_and_deep_texts_are_unreadable_at_once(text):
    with pytest.raises(Unreadable):
        read_turn(text)
