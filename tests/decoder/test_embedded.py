"""What the embedded decoder does beyond the contract: loading, cancelling, sampling, logprobs, chat templates."""

import asyncio
import json
import math
import shutil
import threading
from contextlib import aclosing

import pytest

from decoder import (
    ConstraintRefused,
    ContextOverflow,
    DecoderTimeout,
    EmbeddedDecoder,
    ImagePart,
    Message,
    RequestRefused,
    Sampling,
    ServerFailed,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    UnknownModel,
    UsageError,
    system,
    user,
)
from decoder.constraint import choice, json_schema, regex, structural_tag, tool_call

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
WEATHER = Tool("weather", "The weather in a city.", CITY)
DICE = Tool("dice", "Throw a die.", {"type": "object", "properties": {}})


# Held to one long text, so that no model can end by itself before it is cancelled.
LONG = Sampling(temperature=0.0, max_tokens=3000)
LONG_TEXT = choice(["0123456789" * 290])


@pytest.fixture(scope="module")
def decoder(tiny_llama):
    with EmbeddedDecoder(tiny_llama, device="cpu") as made:
        yield made


def sampling(**changed):
    return Sampling(**({"temperature": 1.0, "seed": 3, "max_tokens": 8} | changed))


async def test_a_closed_stream_ends_the_generation_within_one_token(decoder, monkeypatch):
    from decoder import generation

    drawn, kept_run, finished = [], generation.run, threading.Event()

    def run(model, tokenizer, job):
        rows = kept_run(model, tokenizer, job)
        drawn.append(len(rows[0].ids))
        finished.set()
        return rows

    monkeypatch.setattr(generation, "run", run)
    seen = 0
    async with aclosing(decoder.astream("Hello", sampling=LONG, constraint=LONG_TEXT)) as events:
        async for _ in events:
            seen += 1
            if seen == 3:
                break
    assert finished.is_set()
    assert drawn[0] < 200


async def test_cancelling_the_task_ends_the_generation(decoder):
    task = asyncio.create_task(decoder.acomplete("Hello", sampling=LONG, constraint=LONG_TEXT))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    await asyncio.wait_for(decoder.acomplete("Hello", sampling=sampling(max_tokens=1)), 5)


async def test_closing_the_decoder_ends_what_runs_and_what_waits_with_a_typed_error(tiny_llama):
    decoder = EmbeddedDecoder(tiny_llama, device="cpu")
    await decoder.acomplete("Hello", sampling=sampling(max_tokens=1))
    tasks = [asyncio.create_task(decoder.acomplete("Hello", sampling=LONG, constraint=LONG_TEXT)) for _ in range(2)]
    await asyncio.sleep(0.3)
    await decoder.aclose()
    for task in tasks:
        with pytest.raises(ServerFailed, match="closed"):
            await asyncio.wait_for(task, 5)


async def test_a_wait_that_is_too_long_is_a_typed_error_and_ends_the_job(tiny_llama, monkeypatch):
    from decoder import generation

    ended = threading.Event()

    def stuck(model, tokenizer, job):
        if job.cancelled.wait(20):
            ended.set()
        return []

    monkeypatch.setattr(generation, "run", stuck)
    async with EmbeddedDecoder(tiny_llama, device="cpu", timeout=0.2) as decoder:
        with pytest.raises(DecoderTimeout):
            await decoder.acomplete("Hello", sampling=LONG, constraint=LONG_TEXT)
    assert ended.wait(5)


async def test_requests_at_once_wait_their_turn_and_do_not_mix(decoder):
    alone = [(await decoder.acomplete(f"Say {i}", sampling=sampling(seed=i))).text for i in range(4)]
    together = await asyncio.gather(*(decoder.acomplete(f"Say {i}", sampling=sampling(seed=i)) for i in range(4)))
    assert [completion.text for completion in together] == alone


def test_the_rows_of_n_differ_and_greedy_rows_agree(decoder):
    drawn = decoder.complete("Hello", sampling=sampling(n=4)).choices
    assert len({choice_.text for choice_ in drawn}) == 4
    greedy = decoder.complete("Hello", sampling=sampling(n=2, temperature=0.0)).choices
    assert greedy[0].token_ids == greedy[1].token_ids


def test_greedy_tokens_are_the_likeliest_of_the_models_own_forward_pass(decoder):
    import torch

    completion = decoder.complete("Hello", sampling=sampling(temperature=0.0, logprobs=3))
    engine = decoder.load()
    prompt = engine.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, tokenize=False
    )
    ids = engine.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    chosen = completion.choices[0]
    assert completion.usage.prompt_tokens == len(ids)
    with torch.inference_mode():
        logits = engine.model(torch.tensor([ids + list(chosen.token_ids)])).logits[0, len(ids) - 1 : -1]
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    assert logprobs.argmax(-1).tolist() == list(chosen.token_ids)
    for position, item in enumerate(chosen.logprobs):
        assert item.logprob == pytest.approx(float(logprobs[position, item.token_id]), abs=1e-3)
        assert item.top[0] == (item.token, pytest.approx(item.logprob, abs=1e-6))
        assert len(item.top) == 3


def test_top_k_of_one_is_greedy_and_a_frequency_penalty_forbids_repeats(decoder):
    greedy = decoder.complete("Hello", sampling=sampling(temperature=0.0, max_tokens=40))
    assert decoder.complete("Hello", sampling=sampling(top_k=1, max_tokens=40)).text == greedy.text
    assert decoder.complete("Hello", sampling=sampling(top_p=1e-6, max_tokens=40)).text == greedy.text
    penalised = decoder.complete("Hello", sampling=sampling(temperature=0.0, max_tokens=40, repetition_penalty=1e6))
    assert len(set(penalised.choices[0].token_ids)) == 40


def test_drawing_follows_the_models_distribution(decoder):
    """Of 400 first tokens, the likeliest comes about as often as its probability says (five sigma)."""
    first = decoder.complete("Hello", sampling=sampling(temperature=0.0, max_tokens=1, logprobs=0)).choices[0]
    probability = math.exp(first.logprobs[0].logprob)
    drawn = decoder.complete("Hello", sampling=sampling(max_tokens=1, n=400)).choices
    hits = sum(choice_.token_ids == first.token_ids for choice_ in drawn)
    assert abs(hits - 400 * probability) < 5 * math.sqrt(400 * probability * (1 - probability)) + 1


def test_rows_under_a_constraint_end_at_their_own_length(decoder):
    completion = decoder.complete("Hello", sampling=sampling(n=6, max_tokens=60), constraint=regex("[a-c]{1,12}"))
    texts = [choice_.text for choice_ in completion.choices]
    assert all(1 <= len(text) <= 12 and set(text) <= set("abc") for text in texts)
    assert len({len(text) for text in texts}) > 1
    assert completion.usage.completion_tokens == sum(len(choice_.token_ids) for choice_ in completion.choices)


@pytest.mark.parametrize(
    "constraint",
    [
        choice(["🙂☃"]),
        json_schema({"enum": ["🙂☃"]}),
        structural_tag({"type": "structural_tag", "format": {"type": "const_string", "value": "🙂☃"}}),
    ],
    ids=["choice", "json", "structural_tag"],
)
def test_characters_outside_the_basic_plane_survive_every_constraint(decoder, constraint):
    assert decoder.complete("Hello", sampling=sampling(max_tokens=40), constraint=constraint).text.strip('"') == "🙂☃"


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "properties": {"a": {"not": {"const": 1}}}}, "not"),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, "allOf"),
        ({"type": "string", "pattern": "^a+$", "maxLength": 3}, "maxLength"),
    ],
)
def test_a_schema_that_xgrammar_would_read_past_is_refused(decoder, schema, named):
    with pytest.raises(ConstraintRefused, match=named):
        decoder.complete("Hello", sampling=sampling(), constraint=json_schema(schema))


def test_every_choice_of_a_constrained_tool_call_is_a_call(decoder):
    completion = decoder.complete("Hello", sampling=sampling(n=3, max_tokens=80), constraint=tool_call([WEATHER, DICE]))
    assert completion.finish_reason == "tool_calls"
    assert completion.text == ""
    for choice_ in completion.choices:
        (call,) = choice_.tool_calls
        assert call.name in ("weather", "dice")
        assert isinstance(json.loads(call.arguments), dict)


def test_a_tool_call_is_streamed_as_one(decoder):
    *events, _ = decoder.stream("Hello", sampling=sampling(max_tokens=80), constraint=tool_call([WEATHER]))
    assert [type(event) for event in events] == [ToolCallDelta]
    assert events[0].name == "weather"


def test_a_tool_call_cut_short_is_text_and_says_so(decoder):
    *events, last = decoder.stream("Hello", sampling=sampling(max_tokens=5), constraint=tool_call([WEATHER]))
    assert last.completion.finish_reason == "length"
    assert last.completion.choices[0].tool_calls == ()
    assert [type(event) for event in events] == [TextDelta]


async def test_tools_and_past_calls_reach_the_chat_template(tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "with-tools")
    template = (
        "{% for tool in tools or [] %}[{{ tool.function.name }}]{% endfor %}"
        "{% for m in messages %}{{ m.role }}:{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.arguments.city }}{% endfor %};{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    from decoder.embedded import _tokenize

    with EmbeddedDecoder(folder, device="cpu") as decoder:
        tokenizer = decoder.load().tokenizer
        turns = [
            user("Weather?"),
            Message("assistant", tool_calls=(ToolCall("1", "weather", '{"city": "Oslo"}'),)),
            Message("tool", "rain", tool_call_id="1"),
        ]
        text = tokenizer.decode(_tokenize(tokenizer, turns, [WEATHER]))
    assert text == "[weather]user:Weather?;assistant:Oslo;tool:rain;"


async def test_a_chat_template_that_refuses_is_a_typed_error(tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "strict")
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(template)
    with EmbeddedDecoder(folder, device="cpu") as decoder, pytest.raises(RequestRefused, match="no system turn"):
        await decoder.acomplete([system("Be brief."), user("Hello")])


async def test_an_image_is_refused(decoder):
    message = Message("user", (TextPart("What is this?"), ImagePart("data:image/png;base64,AAAA")))
    with pytest.raises(RequestRefused, match="text only"):
        await decoder.acomplete([message])


async def test_without_max_tokens_it_goes_on_to_the_end_of_the_context(decoder):
    length = await decoder.acontext_length()
    prompt = "word " * 1000
    filler = await decoder.acount_tokens(prompt)
    prompt = "word " * ((length - 40) * 1000 // filler)
    used = (await decoder.acomplete(prompt, sampling=Sampling(seed=1, temperature=0.0))).usage
    assert used.total_tokens <= length
    assert used.completion_tokens > 1


async def test_prompt_and_max_tokens_together_must_fit_the_context(decoder):
    length = await decoder.acontext_length()
    room = length - await decoder.acount_tokens("Hello")
    with pytest.raises(ContextOverflow, match="max_tokens"):
        await decoder.acomplete("Hello", sampling=sampling(max_tokens=room + 1))
    filled = "ab" * 2 * length
    assert await decoder.acount_tokens(filled) > length
    with pytest.raises(ContextOverflow):
        await decoder.acomplete(filled)


def test_a_folder_without_safetensors_is_the_users_mistake(tmp_path):
    with pytest.raises(UsageError, match=r"config\.json"):
        EmbeddedDecoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(UsageError, match="safetensors"):
        EmbeddedDecoder(tmp_path)


def test_a_model_that_brings_its_own_code_is_not_run(tiny_llama, tmp_path):
    folder = shutil.copytree(tiny_llama, tmp_path / "hostile")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mischief", "auto_map": {"AutoConfig": "mischief.C", "AutoModelForCausalLM": "mischief.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    marker = tmp_path / "ran"
    (folder / "mischief.py").write_text(f"open({str(marker)!r}, 'w').close()")
    with pytest.raises(UnknownModel):
        EmbeddedDecoder(folder).complete("Hello")
    assert not marker.exists()


def test_a_decoder_that_was_closed_loads_again(tiny_llama):
    decoder = EmbeddedDecoder(tiny_llama, device="cpu")
    first = decoder.complete("Hello", sampling=sampling()).text
    decoder.close()
    decoder.close()
    assert decoder.complete("Hello", sampling=sampling()).text == first
    decoder.close()


async def test_a_call_with_strings_of_limited_length_is_read_whatever_characters_they_hold(decoder):
    """Such strings may hold raw control characters, which strict JSON has not."""
    limited = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 40}}, "required": ["text"]}
    call = tool_call([Tool("say", "Say it.", {**limited, "additionalProperties": False})])
    drawn = Sampling(temperature=1.0, seed=5, max_tokens=200, n=24)
    completion = await decoder.acomplete("Say it.", sampling=drawn, constraint=call)
    whole = [choice for choice in completion.choices if choice.finish_reason != "length"]
    assert len(whole) >= 12
    assert all(isinstance(json.loads(choice.tool_calls[0].arguments)["text"], str) for choice in whole)
