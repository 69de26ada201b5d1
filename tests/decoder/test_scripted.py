"""The scripted decoder says what it was told to, and keeps what sampling asks for."""

import asyncio
import time
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder import (
    ConstraintIgnored,
    ConstraintRefused,
    ContextOverflow,
    Message,
    ReasoningDelta,
    Sampling,
    ScriptedDecoder,
    ServerFailed,
    Tool,
    ToolCall,
    ToolCallDelta,
    UsageError,
    user,
)
from decoder.constraint import choice, regex, tool_call
from decoder.scripted import words


def test_answers_come_in_turn_and_the_end_of_the_script_is_an_error():
    decoder = ScriptedDecoder(["first", "second"])
    assert [decoder.complete("a").text, decoder.complete("b").text] == ["first", "second"]
    with pytest.raises(UsageError, match="end"):
        decoder.complete("c")


def test_a_function_answers_to_the_conversation():
    decoder = ScriptedDecoder(lambda messages: f"you said {messages[-1].text}")
    assert decoder.complete([user("hello")]).text == "you said hello"


def test_it_remembers_what_it_was_asked():
    decoder = ScriptedDecoder(["a"])
    decoder.complete("Hello", sampling=Sampling(seed=1), constraint=choice(["a"]))
    (request,) = decoder.requests
    assert request.messages == (user("Hello"),)
    assert request.sampling.seed == 1
    assert request.constraint == choice(["a"])


def test_an_exception_in_the_script_is_raised_in_its_turn():
    decoder = ScriptedDecoder([ServerFailed("generating", "it died"), "well again"])
    with pytest.raises(ServerFailed):
        list(decoder.stream("a"))
    assert decoder.complete("b").text == "well again"


def test_an_answer_that_breaks_its_constraint_is_an_error():
    decoder = ScriptedDecoder(["maybe"])
    with pytest.raises(ConstraintIgnored):
        decoder.complete("a", constraint=choice(["yes", "no"]))


def test_a_kind_that_it_does_not_name_is_refused():
    decoder = ScriptedDecoder(["a"], constraints=["choice"])
    with pytest.raises(ConstraintRefused, match="regex"):
        decoder.complete("a", constraint=regex("a"))
    assert decoder.requests == []


def test_an_answer_can_carry_reasoning_and_tool_calls():
    call = ToolCall("1", "search", '{"query": "bread"}')
    decoder = ScriptedDecoder([Message("assistant", "", (call,), reasoning="I must look.")])
    *events, last = decoder.stream("a")
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "I must look."
    assert events[-1] == ToolCallDelta(0, "1", "search", '{"query": "bread"}')
    assert last.completion.finish_reason == "tool_calls"
    assert last.completion.message == Message("assistant", "", (call,), reasoning="I must look.")


def test_an_answer_under_a_tool_call_constraint_is_a_call():
    tool = Tool("dice", "Throw.", {"type": "object", "properties": {}})
    decoder = ScriptedDecoder(['{"name": "dice", "arguments": {}}'])
    chosen = decoder.complete("a", constraint=tool_call([tool])).choices[0]
    assert (chosen.text, chosen.tool_calls[0].name, chosen.finish_reason) == ("", "dice", "tool_calls")


def test_usage_counts_words():
    usage = ScriptedDecoder(["one two", "three"]).complete([user("a b c")], sampling=Sampling(n=2)).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 3)


def test_its_context_is_in_words():
    decoder = ScriptedDecoder(["a"] * 2, context_length=5)
    assert decoder.complete("one two three four").text == "a"
    with pytest.raises(ContextOverflow):
        decoder.complete("one two three four five")


async def test_a_delay_is_kept_between_words_and_a_closed_stream_says_no_more():
    decoder = ScriptedDecoder(["word " * 100], delay=0.02)
    begun = time.monotonic()
    async with aclosing(decoder.astream("a")) as events:
        for _ in range(3):
            await anext(events)
    assert 0.06 <= time.monotonic() - begun < 1


async def test_many_at_once_each_get_an_answer_of_their_own():
    decoder = ScriptedDecoder([str(i) for i in range(50)])
    completions = await asyncio.gather(*(decoder.acomplete("a") for _ in range(50)))
    assert {completion.text for completion in completions} == {str(i) for i in range(50)}


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_the_words_joined_are_the_text(text):
    assert "".join(words(text)) == text
    assert all(words(text))
