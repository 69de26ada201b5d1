"""Our types become a request in each server's dialect; a server's JSON becomes our types."""

import json
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.assembly import Assembly
from decoder.errors import ConstraintRefused, MalformedResponse, TruncatedStream, UsageError
from decoder.presets import COMPATIBLE, LLAMACPP, OLLAMA, OPENAI, PRESETS, VLLM, preset, recognise
from decoder.types import (
    CONSTRAINT_KINDS,
    Constraint,
    Finished,
    ImagePart,
    Message,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    as_messages,
    assistant,
    system,
    user,
)
from decoder.wire import canonical_request, completion_from, request_body, request_hash

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SEARCH = Tool("search", "Finds things", MappingProxyType({"type": "object", "properties": {}}))
CONSTRAINTS = {
    "regex": Constraint("regex", "[0-9]+"),
    "choice": Constraint("choice", ("yes", 'say "no"')),
    "json": Constraint("json", SCHEMA),
    "grammar": Constraint("grammar", 'root ::= "a"'),
    "structural_tag": Constraint("structural_tag", {"type": "structural_tag"}),
}
HI = as_messages("hi")


# Requests


def test_the_least_request():
    assert request_body("m", HI) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_every_kind_of_message():
    call = ToolCall("c1", "search", '{"q": 1}')
    messages = (
        system("Be brief."),
        Message("user", (TextPart("What is this?"), ImagePart("data:image/png;base64,AA=="))),
        Message("assistant", "", tool_calls=(call,), reasoning="Hm."),
        Message("tool", "found", tool_call_id="c1", name="search"),
    )
    assert request_body("m", messages, preset=OPENAI)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": 1}'}}],
        },
        {"role": "tool", "content": "found", "tool_call_id": "c1", "name": "search"},
    ]


@pytest.mark.parametrize(
    ("chosen", "field"), [(VLLM, "reasoning"), (LLAMACPP, "reasoning_content"), (OPENAI, None), (OLLAMA, None)]
)
def test_reasoning_goes_back_where_the_server_takes_it(chosen, field):
    message = request_body("m", [Message("assistant", "Yes.", reasoning="Hm.")], preset=chosen)["messages"][0]
    assert message == {"role": "assistant", "content": "Yes."} | ({field: "Hm."} if field else {})


def test_every_sampling_field_for_vllm():
    sampling = Sampling(0.5, 0.9, 40, 0.05, 3, 7, ("\n",), 100, 0.1, 0.2, 1.1, 5)
    body = request_body("m", HI, sampling)
    del body["model"], body["messages"]
    assert body == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "n": 3,
        "seed": 7,
        "stop": ["\n"],
        "max_tokens": 100,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "repetition_penalty": 1.1,
        "logprobs": True,
        "top_logprobs": 5,
        "return_token_ids": True,
    }


@pytest.mark.parametrize("field", [{"top_k": 40}, {"min_p": 0.1}, {"repetition_penalty": 1.2}])
@pytest.mark.parametrize("chosen", [OPENAI, OLLAMA, COMPATIBLE])
def test_a_sampling_field_that_the_server_lacks_is_not_dropped_silently(chosen, field):
    with pytest.raises(UsageError, match=next(iter(field))):
        request_body("m", HI, Sampling(**field), preset=chosen)


def test_a_neutral_field_that_the_server_lacks_is_left_out():
    body = request_body("m", HI, Sampling(top_k=-1, min_p=0.0, repetition_penalty=1.0), preset=OPENAI)
    assert body.keys() == {"model", "messages"}


def test_openai_names_the_bound_of_tokens_otherwise():
    assert request_body("m", HI, Sampling(max_tokens=9), preset=OPENAI)["max_completion_tokens"] == 9


def test_a_stream_asks_for_usage():
    body = request_body("m", HI, stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_tools():
    assert request_body("m", HI, tools=[SEARCH])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "search",
                "description": "Finds things",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("regex", {"regex": "[0-9]+"}),
        ("choice", {"choice": ["yes", 'say "no"']}),
        ("json", {"json": SCHEMA}),
        ("grammar", {"grammar": 'root ::= "a"'}),
        ("structural_tag", {"structural_tag": '{"type": "structural_tag"}'}),
    ],
)
def test_constraints_for_vllm(kind, fields):
    assert request_body("m", HI, constraint=CONSTRAINTS[kind])["structured_outputs"] == fields


@pytest.mark.parametrize("chosen", [OPENAI, OLLAMA, COMPATIBLE])
@pytest.mark.parametrize("schema", [SCHEMA, json.dumps(SCHEMA)], ids=["mapping", "text"])
def test_json_for_openai_and_ollama(chosen, schema):
    body = request_body("m", HI, constraint=Constraint("json", schema), preset=chosen)
    wanted = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("grammar", {"grammar": 'root ::= "a"'}),
        ("choice", {"grammar": 'root ::= "yes" | "say \\"no\\""'}),
        ("json", {"json_schema": SCHEMA}),
    ],
)
def test_constraints_for_llamacpp(kind, fields):
    body = request_body("m", HI, constraint=CONSTRAINTS[kind], preset=LLAMACPP)
    assert fields.items() <= body.items()


@pytest.mark.parametrize("chosen", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("kind", CONSTRAINT_KINDS)
def test_a_constraint_is_written_or_refused_never_left_out(chosen, kind):
    plain = request_body("m", HI, preset=chosen)
    if kind in chosen.kinds:
        assert len(request_body("m", HI, constraint=CONSTRAINTS[kind], preset=chosen)) == len(plain) + 1
    else:
        with pytest.raises(ConstraintRefused, match=kind):
            request_body("m", HI, constraint=CONSTRAINTS[kind], preset=chosen)


def test_presets_are_found_by_name_and_by_what_the_server_lists():
    assert preset("ollama") is OLLAMA
    with pytest.raises(UsageError, match="vllm"):
        preset("vlm")
    assert recognise("http://h/v1", [{"id": "m", "owned_by": "vllm"}]) is VLLM
    assert recognise("http://h/v1", [{"id": "m", "owned_by": "llamacpp"}]) is LLAMACPP
    assert recognise("http://h/v1", [{"id": "m", "owned_by": "library"}]) is OLLAMA
    assert recognise("https://api.openai.com/v1", [{"id": "m", "owned_by": "system"}]) is OPENAI
    assert recognise("http://h/v1", [{"id": "m"}]) is COMPATIBLE


def test_the_same_question_has_the_same_hash():
    first = canonical_request(HI, Sampling(seed=1), CONSTRAINTS["json"], [SEARCH])
    again = canonical_request(HI, Sampling(seed=1), CONSTRAINTS["json"], [SEARCH])
    backwards = dict(reversed(first.items()))
    assert request_hash(first) == request_hash(again) == request_hash(backwards)
    assert canonical_request(HI, None) == canonical_request(HI, Sampling())


@pytest.mark.parametrize(
    "other",
    [
        canonical_request([user("ho")]),
        canonical_request([assistant("hi")]),
        canonical_request(HI, Sampling(seed=2)),
        canonical_request(HI, Sampling(logprobs=0)),
        canonical_request(HI, None, CONSTRAINTS["regex"]),
        canonical_request(HI, tools=[SEARCH]),
        canonical_request(HI, model="other"),
    ],
)
def test_another_question_has_another_hash(other):
    assert request_hash(other) != request_hash(canonical_request(HI))


# Whole answers


def answer(**choice):
    first = {"index": 0, "message": {"role": "assistant", "content": "Warm."}, "finish_reason": "stop"} | choice
    return {"id": "c1", "model": "m", "choices": [first]}


def test_a_whole_answer():
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    completion = completion_from(answer() | {"usage": usage})
    assert (completion.text, completion.finish_reason) == ("Warm.", "stop")
    assert (completion.id, completion.model, completion.usage) == ("c1", "m", Usage(9, 2, 4))


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "prompt_tokens_details": None}])
def test_usage_may_be_missing(usage):
    assert completion_from(answer() | {"usage": usage}).usage == Usage()


def test_choices_are_put_in_order():
    second = answer()["choices"][0] | {"index": 1, "message": {"content": "Hot."}}
    both = {"id": "c", "choices": [second, *answer()["choices"]]}
    assert [choice.text for choice in completion_from(both).choices] == ["Warm.", "Hot."]


def test_logprobs_are_joined_with_token_ids():
    content = [
        {"token": "War", "logprob": -0.5, "top_logprobs": [{"token": "Hot", "logprob": -1}]},
        {"token": "m.", "logprob": 0, "top_logprobs": []},
    ]
    choice = completion_from(answer(logprobs={"content": content}, token_ids=[5, 6])).choices[0]
    assert [(one.token, one.logprob, one.token_id, one.top) for one in choice.logprobs] == [
        ("War", -0.5, 5, (("Hot", -1.0),)),
        ("m.", 0.0, 6, ()),
    ]
    assert choice.token_ids == (5, 6)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart(field):
    choice = completion_from(answer(message={"content": "Yes.", field: "Hm."})).choices[0]
    assert (choice.text, choice.reasoning) == ("Yes.", "Hm.")


def test_tool_calls():
    message = {
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": '{"q": 1}'}}],
    }
    completion = completion_from(answer(message=message, finish_reason="tool_calls"))
    assert completion.choices[0].tool_calls == (ToolCall("c1", "search", '{"q": 1}'),)
    assert completion.text == ""


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"id": "c", "choices": []},
        {"id": "c", "choices": None},
        {"id": "c", "choices": [None]},
        {"choices": answer()["choices"]},
        answer(message=None),
        answer(message={"content": 7}),
        answer(finish_reason=None),
        answer(finish_reason="abort"),
        answer(logprobs={"content": [{"token": "a"}]}),
        answer(message={"content": "", "tool_calls": [{"id": "c1"}]}),
        answer() | {"usage": 7},
    ],
)
def test_an_answer_that_is_none_is_malformed(broken):
    with pytest.raises(MalformedResponse):
        completion_from(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "finish_reason",
                    "index",
                    "usage",
                    "logprobs",
                    "tool_calls",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_json_is_a_completion_or_malformed(value):
    assembly = Assembly()
    for read in (completion_from, assembly.feed):
        try:
            read(value)
        except MalformedResponse:
            continue
    if assembly.finished:
        assembly.completion()


# Streams


def chunk(delta=None, finish=None, index=0, **more):
    return {
        "id": "c1",
        "model": "m",
        "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish} | more],
    }


def assemble(*chunks):
    assembly = Assembly()
    events = [event for one in chunks for event in assembly.feed(one)]
    return events, assembly.completion()


def test_a_stream_of_text():
    events, completion = assemble(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Wa"}),
        chunk({"content": "rm."}),
        chunk(finish="stop"),
        {"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    assert events == [TextDelta("Wa"), TextDelta("rm.")]
    assert (completion.text, completion.usage) == ("Warm.", Usage(3, 2))


def test_a_stream_of_reasoning_tool_calls_logprobs_and_two_choices():
    events, completion = assemble(
        chunk({"reasoning": "Hm"}),
        chunk({"reasoning_content": "m."}),
        chunk({"content": "b"}, index=1, finish="length"),
        chunk({"content": "a"}, logprobs={"content": [{"token": "a", "logprob": -1}]}, token_ids=[4]),
        chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "search", "arguments": '{"q"'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "look", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk(finish="tool_calls"),
    )
    first, second = completion.choices
    assert (first.text, first.reasoning, first.finish_reason, first.token_ids) == ("a", "Hmm.", "tool_calls", (4,))
    assert first.tool_calls == (ToolCall("c1", "search", '{"q": 1}'), ToolCall("c2", "look", "{}"))
    assert [one.token_id for one in first.logprobs] == [4]
    assert (second.text, second.finish_reason) == ("b", "length")
    assert [type(event) for event in events[:3]] == [ReasoningDelta, ReasoningDelta, TextDelta]
    assert events[-1] == ToolCallDelta(0, "", "", ": 1}")
    assert not any(isinstance(event, Finished) for event in events)


def test_whole_tool_calls_without_numbers_are_told_apart():
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in ("one", "two")]
    _, completion = assemble(chunk({"tool_calls": calls}), chunk(finish="tool_calls"))
    assert [call.name for call in completion.choices[0].tool_calls] == ["one", "two"]


def test_half_a_character_has_a_logprob_and_no_text():
    events, completion = assemble(
        chunk({"content": ""}, logprobs={"content": [{"token": "\\xf0", "logprob": -1}]}),
        chunk({"content": "🔥"}, logprobs={"content": [{"token": "\\x9f", "logprob": -2}]}),
        chunk(finish="stop"),
    )
    assert [len(event.logprobs) for event in events] == [1, 1]
    assert len(completion.choices[0].logprobs) == 2


@pytest.mark.parametrize("chunks", [[], [chunk({"content": "a"})], [chunk({"content": "a"}), chunk(index=1)]])
def test_a_choice_without_an_end_is_truncated(chunks):
    with pytest.raises(TruncatedStream):
        assemble(*chunks)
