"""The real thing: one vLLM process, a tiny random Llama, and everything that the rest of Hearth asks of them.

The tests share one start. What kills the server comes last.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from decoder import server_state
from decoder.client import ServedDecoder
from decoder.constraint import choice, grammar, json_schema, regex, structural_tag
from decoder.errors import ContextOverflow, RequestRefused, UnknownModel
from decoder.probe import probe
from decoder.server import attach, servers
from decoder.server_errors import AdapterFailed
from decoder.server_http import model_names, request
from decoder.types import CONSTRAINT_KINDS, Finished, Message, Sampling, TextDelta, Tool

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
GREEDY = Sampling(temperature=0.0, max_tokens=24)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "inhabitants": {"type": "integer", "maximum": 9}},
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}
TAG = {"type": "structural_tag", "format": {"type": "tag", "begin": "<city>", "content": {}, "end": "</city>"}}
TAG["format"]["content"] = {"type": "json_schema", "json_schema": {"type": "string", "enum": ["Paris", "Rome"]}}
TALK = [
    Message("system", "You are brief."),
    Message("user", "Who gathers round the hearth?"),
    Message("assistant", "People."),
    Message("tool", "They come in the evening.", tool_call_id="1"),
    Message("user", "When?"),
]


@pytest.fixture(autouse=True)
def server(vllm_server, vllm_home, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(vllm_home))
    return vllm_server


@pytest.fixture
async def decoder(server):
    async with ServedDecoder(server.base_url, server.model) as served:
        yield served


def metric(server, name):
    _, text = request(server.base_url, "/metrics")
    return sum(float(value) for value in re.findall(rf"^vllm:{name}\{{[^}}]*\}} (\S+)$", text, re.MULTILINE))


def wait_until(condition, seconds):
    """Looks 20 times a second. How long the server takes to answer a look is not counted: it may stall for seconds."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"not so within {seconds} s")


async def eventually(condition, seconds):
    await asyncio.to_thread(wait_until, condition, seconds)


# Completions


async def test_a_conversation_of_all_roles_is_completed(decoder):
    answer = await decoder.acomplete(TALK, sampling=GREEDY)
    assert answer.text
    assert answer.usage.completion_tokens <= 24
    assert answer.usage.prompt_tokens == await decoder.acount_tokens(TALK)
    assert answer.text == (await decoder.acomplete(TALK, sampling=GREEDY)).text


async def test_a_stream_says_the_same_as_the_whole_answer(decoder):
    events = [event async for event in decoder.astream(TALK, sampling=GREEDY)]
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 5
    assert isinstance(events[-1], Finished)
    assert "".join(delta.text for delta in deltas) == events[-1].completion.text
    assert events[-1].completion.text == (await decoder.acomplete(TALK, sampling=GREEDY)).text
    assert events[-1].completion.usage.completion_tokens == 24


async def test_n_answers_differ_and_a_seed_repeats_them(decoder):
    several = Sampling(temperature=1.0, n=4, seed=7, max_tokens=12)
    answer = await decoder.acomplete("Say something.", sampling=several)
    assert [each.index for each in answer.choices] == [0, 1, 2, 3]
    assert len({each.text for each in answer.choices}) > 1
    again = await decoder.acomplete("Say something.", sampling=several)
    assert [each.text for each in again.choices] == [each.text for each in answer.choices]


async def test_logprobs_are_ordered_and_the_greedy_token_is_the_likeliest(decoder):
    answer = await decoder.acomplete(TALK, sampling=Sampling(temperature=0.0, max_tokens=5, logprobs=3))
    tokens = answer.choices[0].logprobs
    assert len(tokens) == answer.usage.completion_tokens
    for token in tokens:
        values = [value for _, value in token.top]
        assert len(values) >= 3
        assert values == sorted(values, reverse=True)
        assert token.logprob == pytest.approx(max(values))
        assert token.logprob <= 0


async def test_the_end_of_the_answer_is_told_apart_from_the_limit(decoder):
    assert (await decoder.acomplete("Hello", sampling=GREEDY)).finish_reason == "length"
    ended = await decoder.acomplete("Hello", sampling=GREEDY, constraint=choice(["yes", "no"]))
    assert ended.finish_reason == "stop"


async def test_what_the_server_refuses_has_a_type_of_its_own(server, decoder):
    with pytest.raises(ContextOverflow):
        await decoder.acomplete("word " * 4000, sampling=GREEDY)
    with pytest.raises(RequestRefused):
        await decoder.acomplete("Hello", sampling=Sampling(temperature=0.0, n=2))
    async with ServedDecoder(server.base_url, "nobody", preset="vllm") as other:
        with pytest.raises(UnknownModel):
            await other.acomplete("Hello", sampling=GREEDY)


async def test_the_context_length_is_known(decoder):
    assert await decoder.acontext_length() == 2048


# Constraints: random weights satisfy none of these by chance


async def constrained(decoder, constraint, tokens=200):
    # Not greedy: random weights may repeat white space for ever where JSON allows it.
    sampling = Sampling(temperature=1.0, seed=3, max_tokens=tokens)
    answer = await decoder.acomplete("Which city?", sampling=sampling, constraint=constraint)
    assert answer.finish_reason == "stop"
    return answer.text


async def test_regex(decoder):
    assert re.fullmatch(r"[0-9]{3}-[a-f]{4}", await constrained(decoder, regex(r"[0-9]{3}-[a-f]{4}")))


async def test_choice(decoder):
    assert await constrained(decoder, choice(["the left one", "the right one"])) in {"the left one", "the right one"}


async def test_json(decoder):
    value = json.loads(await constrained(decoder, json_schema(SCHEMA), 1000))
    assert value.keys() == {"city", "inhabitants"}
    assert value["city"] in {"Paris", "Rome"}
    assert isinstance(value["inhabitants"], int)


async def test_grammar(decoder):
    text = await constrained(decoder, grammar('root ::= "<" word " " word ">"\nword ::= "fire" | "wood"'))
    assert re.fullmatch("<(fire|wood) (fire|wood)>", text)


async def test_structural_tag(decoder):
    text = await constrained(decoder, structural_tag(TAG))
    assert re.fullmatch(r'<city>"(Paris|Rome)"</city>', text)


async def test_a_constraint_holds_in_a_stream_and_for_each_of_n(decoder):
    sampling = Sampling(temperature=1.0, n=3, max_tokens=50)
    events = decoder.astream("Number?", sampling=sampling, constraint=regex("[0-9]{5}"))
    finished = [event async for event in events][-1]
    assert len(finished.completion.choices) == 3
    assert all(re.fullmatch("[0-9]{5}", each.text) for each in finished.completion.choices)


async def test_the_probe_passes_for_every_kind(server):
    async with ServedDecoder(server.base_url, server.model) as fresh:
        await fresh.aready()
        assert fresh.constraints == set(CONSTRAINT_KINDS)
        for kind in CONSTRAINT_KINDS:
            text = (await fresh.acomplete("Hello", constraint=probe(kind).constraint)).text
            assert "".join(text.split()) in probe(kind).allowed


async def test_the_fields_of_old_are_ignored_without_a_word_which_is_what_the_probe_is_for(server):
    """Should this fail, vLLM has changed its mind, and the probe could be simpler."""
    body = {"model": server.model, "messages": [{"role": "user", "content": "Hi"}], "guided_regex": "[0-9]{3}"}
    status, text = request(server.base_url, "/v1/chat/completions", {**body, "max_tokens": 16, "temperature": 0})
    assert status == 200
    assert not re.fullmatch("[0-9]{3}", json.loads(text)["choices"][0]["message"]["content"])


# The cache, and stopping


async def test_a_prompt_that_was_seen_before_is_not_computed_again(server, decoder):
    prompt = "A house with a hearth in the middle, described at length. " * 25
    before = metric(server, "prefix_cache_hits_total")
    first = await decoder.acomplete(prompt + "And?", sampling=GREEDY)
    second = await decoder.acomplete(prompt + "But?", sampling=GREEDY)
    assert not first.usage.cached_tokens
    # The cache holds blocks of 128 tokens, so the rest of the last block is computed again.
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 2 * 128 > 0
    assert metric(server, "prefix_cache_hits_total") - before >= second.usage.cached_tokens


# Random weights may end at any token. Sixteen texts that are held to one long text take many seconds, so they are not
# over before they are stopped, even where the server's front stalls while its engine goes on.
LONG_TEXT = choice(["0123456789" * 180])
LONG = Sampling(temperature=1.0, max_tokens=1900, n=16)


async def test_leaving_a_stream_stops_the_generation_on_the_server(server, decoder):
    await decoder.aready()
    stream = decoder.astream("Talk for as long as you can.", sampling=LONG, constraint=LONG_TEXT)
    generated = metric(server, "generation_tokens_total")
    await anext(stream)
    await eventually(lambda: metric(server, "num_requests_running") > 0, seconds=3)
    began = time.monotonic()
    await stream.aclose()
    assert time.monotonic() - began < 0.2
    await eventually(lambda: metric(server, "num_requests_running") == 0, seconds=3)
    assert metric(server, "generation_tokens_total") - generated < 16 * 1500


async def test_cancelling_the_task_of_a_completion_stops_it_too(server, decoder):
    await decoder.aready()
    task = asyncio.create_task(decoder.acomplete("Talk.", sampling=LONG, constraint=LONG_TEXT))
    await eventually(lambda: metric(server, "num_requests_running") > 0, seconds=20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: metric(server, "num_requests_running") == 0, seconds=3)


async def test_sixteen_requests_at_once_are_answered_each_with_its_own(decoder):
    words = [f"word{number}" for number in range(16)]
    answers = await asyncio.gather(*(decoder.acomplete(w, sampling=GREEDY, constraint=choice([w])) for w in words))
    assert [answer.text for answer in answers] == words


async def test_tools_are_listed_to_the_model_only_where_the_server_can_call_them(decoder):
    tool = Tool("search", "Search.", {"type": "object", "properties": {"q": {"type": "string"}}})
    with pytest.raises(RequestRefused, match="tool"):
        await decoder.acomplete("Search.", sampling=GREEDY, tools=[tool])


# Adapters


async def ask(server, model):
    async with ServedDecoder(server.base_url, model, preset="vllm") as served:
        return (await served.acomplete(TALK, sampling=GREEDY)).text


async def test_adapters_are_loaded_change_the_answers_and_are_unloaded(server, make_adapter):
    plain = await ask(server, server.model)
    server.load_adapter("first", make_adapter(1))
    server.load_adapter("second", make_adapter(2))
    assert model_names(server.base_url) == [server.model, "first", "second"]
    first, second = await ask(server, "first"), await ask(server, "second")
    assert len({plain, first, second}) == 3
    assert await ask(server, server.model) == plain
    server.unload_adapter("first")
    with pytest.raises(UnknownModel):
        await ask(server, "first")
    with pytest.raises(UnknownModel):
        server.unload_adapter("first")
    assert await ask(server, "second") == second
    server.unload_adapter("second")


async def test_a_new_version_under_the_old_name_and_folder_is_not_served_from_the_old_ones_cache(server, make_adapter):
    folder, other = make_adapter(3), make_adapter(4)
    server.load_adapter("version", folder)
    old = await ask(server, "version")
    server.unload_adapter("version")
    for file in other.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    server.load_adapter("version", folder)
    new = await ask(server, "version")
    server.unload_adapter("version")
    server.load_adapter("reference", other)
    assert new == await ask(server, "reference") != old
    server.unload_adapter("reference")


def test_an_adapter_that_does_not_fit_is_refused_and_the_server_goes_on(server, make_adapter):
    with pytest.raises(AdapterFailed, match="rank"):
        server.load_adapter("wide", make_adapter(5, rank=64))
    assert server.status().condition == "healthy"
    assert model_names(server.base_url) == [server.model]


# The process


def test_it_is_found_by_another_part_of_the_program(server):
    found = attach()
    assert (found.base_url, found.model) == (server.base_url, server.model)
    (entry,) = servers()
    assert entry.condition == "healthy"
    assert entry.models == (server.model,)
    assert entry.restarts == 0


def test_the_documents_example_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python served\n(.*?)^```", page, re.S | re.M)
    exec(compile(block, "docs/serving.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "healthy 0 ('tiny-llama',)"


def test_its_modules_are_its_own():
    """`python -m` in the repository would put `agents`, `rag` and `prompts` before vLLM's own dependencies."""
    leader = attach().status().pid
    assert os.readlink(f"/proc/{leader}/cwd") == str(server_state.folder())
    assert b"PYTHONPATH" not in Path(f"/proc/{leader}/environ").read_bytes()


def test_killed_it_is_started_again_with_its_adapters_and_answers_as_before(server, make_adapter):
    server.load_adapter("kept", make_adapter(6))
    before = asyncio.run(ask(server, "kept"))
    group = server.status().pid
    os.kill(group, signal.SIGKILL)
    wait_until(lambda: server.status().restarts == 1 and server.status().condition == "healthy", seconds=200)
    assert server.status().pid != group
    assert asyncio.run(ask(server, "kept")) == before
