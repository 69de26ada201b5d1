"""Rows of many shapes become one form, and each is checked before anything is trained on it."""

import pytest

from alignment.data_checks import check, check_alike
from alignment.data_formats import convert, recognise
from alignment.data_report import BadField
from alignment.data_table import as_table

HI = {"role": "user", "content": "Hi."}
YES = {"role": "assistant", "content": "Yes?"}
CALL = {"type": "function", "function": {"name": "find", "arguments": {"what": "tea"}}}


@pytest.mark.parametrize(
    ("row", "form", "made"),
    [
        ({"messages": [HI, YES], "id": 7}, "messages", {"messages": [HI, YES]}),
        (
            {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Yes?"}], "system": "Be."},
            "messages",
            {"messages": [{"role": "system", "content": "Be."}, HI, YES]},
        ),
        (
            {"instruction": "Add.", "input": "1, 2", "output": "3"},
            "messages",
            {"messages": [{"role": "user", "content": "Add.\n\n1, 2"}, {"role": "assistant", "content": "3"}]},
        ),
        (
            {"instruction": "Hi.", "input": "", "output": "Yes?", "history": [["Hello", "Hello!"]], "system": ""},
            "messages",
            {
                "messages": [
                    {"role": "user", "content": "Hello"},
                    {"role": "assistant", "content": "Hello!"},
                    HI,
                    YES,
                ]
            },
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Hi."},
                    {"from": "function_call", "value": '{"name": "find", "arguments": {"what": "tea"}}'},
                    {"from": "observation", "value": "[]"},
                    {"from": "gpt", "value": "Yes?"},
                ],
                "tools": '[{"name": "find", "parameters": {}}]',
            },
            "messages",
            {
                "messages": [
                    HI,
                    {"role": "assistant", "content": "", "tool_calls": [CALL]},
                    {"role": "tool", "content": "[]"},
                    YES,
                ],
                "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}],
            },
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}, {**YES, "tool_calls": None}]},
            "messages",
            {"messages": [HI, YES]},
        ),
        ({"prompt": "1+1=", "completion": "2"}, "prompt_completion", {"prompt": "1+1=", "completion": "2"}),
        ({"prompt": [HI], "completion": "Yes?"}, "prompt_completion", {"prompt": [HI], "completion": [YES]}),
        (
            {"prompt": "Hi.", "chosen": "Yes?", "rejected": "No.", "score": 1},
            "preference",
            {"prompt": "Hi.", "chosen": "Yes?", "rejected": "No."},
        ),
        (
            {
                "conversations": [{"from": "human", "value": "Hi."}],
                "chosen": {"from": "gpt", "value": "Yes?"},
                "rejected": {"from": "gpt", "value": "No."},
            },
            "preference",
            {"prompt": [HI], "chosen": [YES], "rejected": [{"role": "assistant", "content": "No."}]},
        ),
        (
            {"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes?", "rejected": "\n\nHuman: Hi.\n\nAssistant: No."},
            "preference",
            {"prompt": [HI], "chosen": [YES], "rejected": [{"role": "assistant", "content": "No."}]},
        ),
        (
            {"prompt": "Hi.", "chosen": [HI, YES], "rejected": [HI, {"role": "assistant", "content": "No."}]},
            "preference",
            {"prompt": [HI], "chosen": [YES], "rejected": [{"role": "assistant", "content": "No."}]},
        ),
        (
            {"instruction": "Hi.", "input": "", "chosen": "Yes?", "rejected": "No."},
            "preference",
            {"prompt": [HI], "chosen": [YES], "rejected": [{"role": "assistant", "content": "No."}]},
        ),
        (
            {"prompt": "Hi.", "responses": '["a", "b"]', "ranks": "[1, 2.0]"},
            "ranking",
            {"prompt": "Hi.", "responses": ["a", "b"], "ranks": [1, 2]},
        ),
        (
            {"messages": [HI, YES], "label": True},
            "kto",
            {"prompt": [HI], "completion": [YES], "label": True},
        ),
        (
            {"prompt": "Hi.", "completion": "Yes?", "label": "False"},
            "kto",
            {"prompt": "Hi.", "completion": "Yes?", "label": False},
        ),
        ({"prompt": "Hi.", "answer": 3}, "prompt", {"prompt": "Hi.", "answer": 3}),
        (
            {"prompt": "Hi.", "system": "Be brief."},
            "prompt",
            {"prompt": [{"role": "system", "content": "Be brief."}, HI]},
        ),
        ({"text": "Once upon a time.", "title": "Tale"}, "text", {"text": "Once upon a time."}),
    ],
)
def test_each_shape_is_told_by_its_fields_and_becomes_its_form(row, form, made):
    assert recognise([row]) == form
    converted = convert(row, form)
    assert converted == made
    check(converted, form)


def test_prompts_are_taken_from_conversations_without_their_answer():
    assert convert({"messages": [HI, YES, HI, YES], "gold": "x"}, "prompt") == {"prompt": [HI, YES, HI], "gold": "x"}
    assert convert({"instruction": "Hi.", "output": "Yes?"}, "prompt") == {"prompt": [HI], "output": "Yes?"}


def test_two_tools_may_answer_one_turn():
    tool = {"role": "tool", "content": ""}
    check(
        {"messages": [HI, {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}, tool, tool, YES]},
        "messages",
    )


def test_a_system_message_among_the_turns_wins_over_one_in_a_column():
    mine = {"role": "system", "content": "Mine."}
    for form in ("messages", "prompt"):
        made = convert({"conversations": [mine, HI, YES], "system": "Theirs."}, form)
        assert made[form][:2] == [mine, HI]


def test_the_format_is_that_of_most_rows_so_that_one_broken_row_does_not_decide():
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    assert recognise([{"prompt": "a", "chosen": "b", "rejected": None}, pair, pair]) == "preference"
    assert recognise([{"a": 1}, {"b": 2}]) == ""


PAIR = {"prompt": "Hi.", "chosen": "Yes?", "rejected": "No."}
RANKED = {"prompt": "Hi.", "responses": ["a", "b"], "ranks": [1, 2]}
VOTE = {"prompt": "Hi.", "completion": "Yes?", "label": True}


@pytest.mark.parametrize(
    ("row", "form", "field", "reason"),
    [
        ({"messages": []}, "messages", "messages", "empty"),
        ({"messages": "Hi."}, "messages", "messages", "no JSON"),
        ({"messages": 3}, "messages", "messages", "no list of turns but a number"),
        ({"messages": ["Hi."]}, "messages", "messages[0]", "no turn but a text"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages", "messages[0]", "the role 'wizard' is unknown"),
        ({"messages": [{"content": "x"}]}, "messages", "messages[0]", "it has no role"),
        ({"messages": [{"role": "user"}]}, "messages", "messages[0].content", "missing"),
        ({"messages": [{"role": "user", "content": 4}]}, "messages", "messages[0].content", "a number"),
        ({"messages": [HI, {**YES, "content": " \n"}]}, "messages", "messages[1].content", "empty"),
        ({"messages": [HI]}, "messages", "messages", "ends with user and not with assistant"),
        ({"messages": [YES]}, "messages", "messages", "begins with assistant and not with the user"),
        ({"messages": [HI, HI, YES]}, "messages", "messages[1]", "user speaks twice in a row"),
        ({"messages": [HI, {"role": "system", "content": "x"}, YES]}, "messages", "messages[1]", "a system message"),
        ({"messages": [HI, {"role": "tool", "content": "x"}, YES]}, "messages", "messages[1]", "not called"),
        (
            {"messages": [HI, {**YES, "tool_calls": [CALL]}, HI, YES]},
            "messages",
            "messages[2]",
            "where the tool's answer should stand",
        ),
        ({"messages": [HI, YES], "tools": "{}"}, "messages", "tools", "no list of schemas"),
        ({"conversations": [{"from": "function_call", "value": "find()"}]}, "messages", "conversations[0]", "no JSON"),
        ({"instruction": "x", "output": None}, "messages", "output", "missing"),
        ({"prompt": "Hi.", "completion": ""}, "prompt_completion", "completion", "empty"),
        ({"prompt": "", "completion": "x"}, "prompt_completion", "prompt", "empty"),
        ({"prompt": [HI, YES], "completion": [YES]}, "prompt_completion", "prompt", "ends with assistant"),
        ({"prompt": [HI], "completion": [HI]}, "prompt_completion", "completion", "a turn of user"),
        ({**PAIR, "rejected": "Yes?"}, "preference", "rejected", "same as chosen"),
        ({**PAIR, "chosen": None}, "preference", "chosen", "missing"),
        ({"chosen": "Yes?", "rejected": "No."}, "preference", "prompt", "missing"),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"},
            "preference",
            "chosen",
            "a turn of user stands in the answer",
        ),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant:"},
            "preference",
            "rejected[0].content",
            "empty",
        ),
        ({**RANKED, "ranks": [1]}, "ranking", "ranks", "1 for 2 responses"),
        ({**RANKED, "ranks": [1, 1]}, "ranking", "ranks", "no response is better"),
        ({**RANKED, "ranks": [1, "2"]}, "ranking", "ranks[1]", "no whole number"),
        ({**RANKED, "ranks": [True, 2]}, "ranking", "ranks[0]", "no whole number"),
        ({**RANKED, "ranks": [1, float("nan")]}, "ranking", "ranks[1]", "no whole number"),
        ({**RANKED, "ranks": None}, "ranking", "ranks", "missing"),
        ({**RANKED, "responses": ["a", " "]}, "ranking", "responses[1]", "empty"),
        ({**RANKED, "responses": ["a"]}, "ranking", "responses", "there are 1"),
        ({**RANKED, "responses": ["a", "a"]}, "ranking", "responses[1]", "twice with different ranks"),
        ({**VOTE, "label": 1}, "kto", "label", "neither true nor false but 1"),
        ({**VOTE, "label": "good"}, "kto", "label", "neither true nor false"),
        ({**VOTE, "label": None}, "kto", "label", "missing"),
        ({"text": "  "}, "text", "text", "empty"),
        ({"text": b"x"}, "text", "text", "no text but bytes"),
        ({"text": "\ud800"}, "text", "text", "half a surrogate pair"),
        ({"prompt": "Hi.", "gold": float("inf")}, "prompt", "gold", "no number"),
        ({"prompt": "Hi.", "gold": 2**70}, "prompt", "gold", "no number of 64 bits"),
        ({"prompt": "Hi.", "gold": b"x"}, "prompt", "gold", "bytes"),
        ({"prompt": "Hi.", "\ud800": "x"}, "prompt", "\\ud800", "half a surrogate pair"),
        ({"prompt": 3}, "prompt", "prompt", "no text but a number"),
        ({"prompt": [HI, {"role": "assistant", "content": "x"}, HI, HI]}, "prompt", "prompt[3]", "twice in a row"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_field_and_reason(row, form, field, reason):
    with pytest.raises(BadField) as caught:
        check(convert(row, form), form)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_what_nests_without_end_is_refused_before_anything_recurses_into_it():
    deep = []
    for _ in range(900):
        deep = [deep]
    for row, form in (
        ({"prompt": "Hi.", "gold": deep}, "prompt"),
        ({"messages": [HI, YES], "tools": [{"name": "x", "parameters": {"y": deep}}]}, "messages"),
        ({"messages": [HI, {**YES, "tool_calls": deep}]}, "messages"),
    ):
        with pytest.raises(BadField, match="nested deeper"):
            convert(row, form)


def test_a_column_has_one_kind():
    kinds = {}
    check_alike({"prompt": "a", "gold": 1}, kinds)
    check_alike({"prompt": "b", "gold": 2.5, "more": None}, kinds)
    with pytest.raises(BadField, match="it is a list, and in earlier rows a text"):
        check_alike({"prompt": [HI]}, kinds)
    with pytest.raises(BadField, match="it is true or false, and in earlier rows a number"):
        check_alike({"prompt": "c", "gold": True}, kinds)


def test_a_table_keeps_each_call_its_own_arguments_and_columns_that_the_first_row_lacks():
    pytest.importorskip("datasets")
    rows = [
        {"messages": [HI, {**YES, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}], **beside}
        for arguments, beside in (({"a": "x"}, {}), ({"b": [1]}, {"tools": [{"name": "f"}]}), ({"a": 3}, {}))
    ]
    assert list(as_table(rows)) == [{"messages": row["messages"], "tools": row.get("tools")} for row in rows]
