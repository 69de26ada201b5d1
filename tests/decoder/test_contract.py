"""One contract for every decoder: scripted, recorded, embedded, and served by a real vLLM process."""

import json
import re
import time
from contextlib import aclosing

import pytest

from decoder import (
    ConstraintRefused,
    ContextOverflow,
    Decoder,
    Finished,
    RecordedDecoder,
    Sampling,
    ScriptedDecoder,
    TextDelta,
    Tool,
    UsageError,
    assistant,
    system,
    user,
)
from decoder.base import iterate_sync
from decoder.constraint import choice, grammar, json_schema, regex, structural_tag, tool_call
from decoder.toolcalls import read_call
from decoder.types import Constraint

STORY = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
UNICODE = "naïve ☃ 漢字 🙂"
SCHEMA = {
    "type": "object",
    "properties": {"good": {"type": "boolean"}, "size": {"enum": ["small", "large"]}},
    "required": ["good", "size"],
    "additionalProperties": False,
}
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "The weather in a city.", CITY)
TAG = {"type": "tag", "begin": "<age>", "content": {"type": "regex", "pattern": "[0-9]{2}"}, "end": "</age>"}


def is_good_and_sized(text):
    value = json.loads(text)
    return value.keys() == {"good", "size"} and type(value["good"]) is bool and value["size"] in ("small", "large")


# For each kind: a constraint, what a script answers to it, and what it allows, as the test itself reads it.
CONSTRAINED = {
    "regex": (
        regex(r"[0-9]{4}-[a-f]{2}"),
        "2026-ab",
        lambda text: re.fullmatch(r"[0-9]{4}-[a-f]{2}", text),
    ),
    "choice": (choice(["yes", "no", UNICODE]), "no", lambda text: text in ("yes", "no", UNICODE)),
    "json": (json_schema(SCHEMA), '{"good": true, "size": "large"}', is_good_and_sized),
    "grammar": (
        grammar('root ::= "(" inner ")"\ninner ::= "a" | "b" "c"'),
        "(bc)",
        lambda text: text in ("(a)", "(bc)"),
    ),
    "structural_tag": (
        structural_tag({"type": "structural_tag", "format": TAG}),
        "<age>42</age>",
        lambda text: re.fullmatch(r"<age>\d\d</age>", text),
    ),
}
SCRIPT = {f"Fill in the {kind}.": answer for kind, (_, answer, _) in CONSTRAINED.items()} | {
    "Write unicode.": UNICODE,
    "Call a tool.": '{"name": "weather", "arguments": {"city": "Oslo"}}',
}


def scripted():
    return ScriptedDecoder(lambda messages: SCRIPT.get(messages[-1].text, STORY), context_length=2000)


class Replayed(Decoder):
    """Records each request against the scripted decoder, and answers from the file alone."""

    def __init__(self, path):
        self.path, self.source = path, scripted()
        self.constraints = self.source.constraints

    async def astream(self, prompt, **options):
        await RecordedDecoder(self.path, self.source).acomplete(prompt, **options)
        async for event in RecordedDecoder(self.path).astream(prompt, **options):
            yield event

    async def acount_tokens(self, prompt):
        await RecordedDecoder(self.path, self.source).acount_tokens(prompt)
        return await RecordedDecoder(self.path).acount_tokens(prompt)

    async def acontext_length(self):
        await RecordedDecoder(self.path, self.source).acontext_length()
        return await RecordedDecoder(self.path).acontext_length()


@pytest.fixture(scope="module")
def embedded(tiny_llama):
    from decoder import EmbeddedDecoder

    with EmbeddedDecoder(tiny_llama, device="cpu") as decoder:
        yield decoder


@pytest.fixture(params=["scripted", "replayed", "embedded", pytest.param("served", marks=pytest.mark.vllm)])
def decoder(request, tmp_path):
    match request.param:
        case "scripted":
            yield scripted()
        case "replayed":
            yield Replayed(tmp_path / "recording.jsonl")
        case "embedded":
            yield request.getfixturevalue("embedded")
        case "served":
            from decoder import ServedDecoder

            server = request.getfixturevalue("vllm_server")
            with ServedDecoder(server.base_url, server.model, preset="vllm") as served:
                yield served


def sampling(**changed):
    return Sampling(**({"temperature": 1.0, "seed": 7, "max_tokens": 8} | changed))


async def collect(decoder, prompt, **options):
    events = [event async for event in decoder.astream(prompt, **options)]
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Finished) for event in events[:-1])
    return events[:-1], events[-1].completion


async def test_the_stream_joined_is_the_completion(decoder):
    deltas, streamed = await collect(decoder, "Tell me a story.", sampling=sampling(max_tokens=12))
    whole = await decoder.acomplete("Tell me a story.", sampling=sampling(max_tokens=12))
    assert "".join(delta.text for delta in deltas) == streamed.text == whole.text != ""
    assert streamed.finish_reason == whole.finish_reason


async def test_n_gives_n_choices_in_order_and_streams_each_by_its_index(decoder):
    deltas, completion = await collect(decoder, "Tell me a story.", sampling=sampling(n=3))
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    for choice_ in completion.choices:
        assert "".join(d.text for d in deltas if d.index == choice_.index) == choice_.text


async def test_max_tokens_ends_with_length(decoder):
    completion = await decoder.acomplete("Tell me a story.", sampling=sampling(max_tokens=5))
    assert completion.finish_reason == "length"
    assert completion.usage.completion_tokens == 5


async def test_generation_ends_before_a_stop_string(decoder):
    free = await decoder.acomplete("Tell me a story.", sampling=sampling(max_tokens=14))
    stop = free.text[len(free.text) // 2 :][:3]
    deltas, stopped = await collect(decoder, "Tell me a story.", sampling=sampling(max_tokens=14, stop=(stop,)))
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.finish_reason == "stop"
    assert "".join(delta.text for delta in deltas) == stopped.text


async def test_the_same_seed_repeats_itself(decoder):
    first = await decoder.acomplete("Tell me a story.", sampling=sampling(seed=11))
    second = await decoder.acomplete("Tell me a story.", sampling=sampling(seed=11))
    assert first.text == second.text


async def test_usage_adds_up(decoder):
    prompt = [system("Be brief."), user("Hello"), assistant("Hello."), user("Tell me a story.")]
    usage = (await decoder.acomplete(prompt, sampling=sampling(n=2))).usage
    assert usage.prompt_tokens == await decoder.acount_tokens(prompt)
    assert 0 < usage.completion_tokens <= 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_logprobs_come_one_a_token_and_none_is_above_zero(decoder):
    deltas, completion = await collect(decoder, "Tell me a story.", sampling=sampling(logprobs=2))
    logprobs = completion.choices[0].logprobs
    assert len(logprobs) == completion.usage.completion_tokens
    assert all(item.logprob <= 0 for item in logprobs)
    assert [item for delta in deltas for item in delta.logprobs] == list(logprobs)


async def test_characters_are_streamed_whole(decoder):
    deltas, completion = await collect(
        decoder, "Write unicode.", sampling=sampling(max_tokens=64), constraint=choice([UNICODE])
    )
    assert completion.text == UNICODE
    assert "".join(delta.text for delta in deltas) == UNICODE
    assert not any("�" in delta.text for delta in deltas)


async def test_closing_a_stream_early_stops_it(decoder):
    async with aclosing(decoder.astream("Tell me a story.", sampling=sampling(max_tokens=1500))) as events:
        first = await anext(events)
    assert isinstance(first, TextDelta)
    begun = time.monotonic()
    await decoder.acomplete("Tell me a story.", sampling=sampling(max_tokens=1))
    assert time.monotonic() - begun < 5


async def test_an_early_stop_in_sync_code_closes_the_stream(decoder):
    events = decoder.stream("Tell me a story.", sampling=sampling(max_tokens=1500))
    assert isinstance(next(events), TextDelta)
    events.close()
    assert decoder.complete("Tell me a story.", sampling=sampling(max_tokens=1)).text is not None


@pytest.mark.parametrize("kind", CONSTRAINED)
async def test_each_constraint_it_names_is_enforced(decoder, kind):
    constraint, _, allowed = CONSTRAINED[kind]
    assert kind in decoder.constraints
    for seed in (1, 2, 3):
        completion = await decoder.acomplete(
            f"Fill in the {kind}.", sampling=sampling(seed=seed, max_tokens=200), constraint=constraint
        )
        assert allowed(completion.text), completion.text
        assert completion.finish_reason == "stop"


async def test_a_tool_call_constraint_makes_a_call_by_its_schema(decoder):
    completion = await decoder.acomplete(
        "Call a tool.", sampling=sampling(max_tokens=200), constraint=tool_call([WEATHER])
    )
    chosen = completion.choices[0]
    call = chosen.tool_calls[0] if chosen.tool_calls else read_call(chosen.text)
    assert call.name == "weather"
    assert json.loads(call.arguments)["city"] in ("Oslo", "Rome")


@pytest.mark.parametrize("constraint", [Constraint("regex", "("), Constraint("grammar", "no rules here")])
async def test_a_malformed_constraint_is_refused(decoder, constraint):
    with pytest.raises(ConstraintRefused):
        await decoder.acomplete("Tell me a story.", sampling=sampling(), constraint=constraint)


async def test_an_empty_conversation_is_the_users_mistake(decoder):
    with pytest.raises(UsageError):
        await decoder.acomplete([])
    with pytest.raises(UsageError):
        list(iterate_sync(decoder.astream([])))


async def test_a_prompt_longer_than_the_context_is_refused_before_generating(decoder):
    length = await decoder.acontext_length()
    assert length
    with pytest.raises(ContextOverflow):
        await decoder.acomplete("word " * length, sampling=sampling())


async def test_max_tokens_beyond_the_context_is_refused_or_lowered_never_exceeded(decoder):
    """vLLM 0.32 lowers it and ends with "length"; the others refuse."""
    length = await decoder.acontext_length()
    events = decoder.astream("Tell me a story.", sampling=sampling(max_tokens=length))
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    assert event.completion.usage.total_tokens <= length
    except ContextOverflow as error:
        assert "max_tokens" in str(error)


async def test_the_sync_twins_agree_with_the_async_methods(decoder):
    awaited = await decoder.acomplete("Tell me a story.", sampling=sampling())
    assert decoder.complete("Tell me a story.", sampling=sampling()).text == awaited.text
    *deltas, last = decoder.stream("Tell me a story.", sampling=sampling())
    assert isinstance(last, Finished)
    assert "".join(delta.text for delta in deltas) == awaited.text
