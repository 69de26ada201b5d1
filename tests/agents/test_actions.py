"""Actions of a model with random weights, over the tools of the Berkeley function-calling leaderboard.

Such a model knows nothing, so whatever is right about its actions is the constraint's doing. Nothing is drawn twice:
an action that max_tokens cut off is counted as that. How BFCL's schemas are read as JSON schema says
`benchmarks.grammar.json_schema`.
"""

import asyncio
import json
import random

import jsonschema
import pytest
from aiohttp import web

from agents import Agent, Budget
from agents.events import Action, DecoderCalled, Observation, RunEnded, Thought, Truncated
from agents.grammar import action_constraint, final_answer, read_action
from benchmarks.grammar import DATA, bfcl_tools, json_schema
from decoder.client import ServedDecoder
from decoder.embedded import EmbeddedDecoder
from decoder.errors import ConstraintIgnored
from decoder.types import Sampling

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the function-calling schemas are not here")
ANSWER = final_answer()


def sets(count, seed=0):
    """So many tool sets, a third each of one tool, of three, and of three whose action is a list of calls."""
    chosen, tools = random.Random(seed), bfcl_tools()
    for number in range(count):
        yield chosen.sample(tools, 1 if number % 3 == 0 else 3), number % 3 == 2


def check(choice, tools, several):
    """The calls of a finished action, each valid by its tool's own schema."""
    calls = read_action(choice.text, choice.tool_calls, lambda count: [str(number) for number in range(count)])
    assert calls
    assert several or len(calls) == 1
    schemas = {tool.name: tool.parameters for tool in tools} | {ANSWER.name: ANSWER.parameters}
    for call in calls:
        jsonschema.validate(call.arguments, schemas[call.tool])
        assert len(calls) == 1 or call.tool != ANSWER.name
    return calls


def report(capsys, where, finished, truncated, used):
    with capsys.disabled():
        print(
            f"\n{where}: {finished} actions finished, all valid; {truncated} cut off by max_tokens; {used} tools used"
        )


def smaller(tiny_llama, folder):
    """A Llama of one layer and 32 units with the tiny one's tokenizer: as ignorant, and quicker."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    config = LlamaConfig.from_pretrained(tiny_llama)
    config.update({"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "head_dim": 32})
    config.update({"num_attention_heads": 1, "num_key_value_heads": 1})
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@needs_data
@pytest.mark.slow
def test_500_actions_of_random_weights_are_valid_or_cut_off(tiny_llama, tmp_path, capsys):
    decoder = EmbeddedDecoder(smaller(tiny_llama, tmp_path / "llama"))
    finished = truncated = 0
    used = set()
    for number, (tools, several) in enumerate(sets(125)):
        constraint = action_constraint(tools, ANSWER, several)
        sampling = Sampling(temperature=1.0, max_tokens=320, n=4, seed=number)
        for choice in decoder.complete("Act.", sampling=sampling, constraint=constraint).choices:
            if choice.finish_reason == "length":
                truncated += 1
                continue
            finished += 1
            used |= {call.tool for call in check(choice, tools, several)}
    decoder.close()
    report(capsys, "embedded", finished, truncated, len(used))
    assert finished + truncated == 500
    assert finished > 350
    assert len(used) > 100
    assert ANSWER.name in used


@needs_data
@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_actions_of_random_weights_on_vllm_are_valid_or_cut_off(vllm_server, capsys):
    async def draw(decoder, number, tools, several):
        sampling = Sampling(temperature=1.0, max_tokens=400, seed=number)
        constraint = action_constraint(tools, ANSWER, several)
        return (await decoder.acomplete("Act.", sampling=sampling, constraint=constraint)).choices[0]

    async def draw_all(wanted):
        async with ServedDecoder(vllm_server.base_url, model=vllm_server.model) as decoder:
            return await asyncio.gather(*(draw(decoder, n, *each) for n, each in enumerate(wanted)))

    wanted = list(sets(60))
    finished, used = 0, set()
    for choice, (tools, several) in zip(asyncio.run(draw_all(wanted)), wanted, strict=True):
        if choice.finish_reason != "length":
            finished += 1
            used |= {call.tool for call in check(choice, tools, several)}
    report(capsys, "vLLM", finished, len(wanted) - finished, len(used))
    assert finished > 30


def agent(decoder, tool, **options):
    return Agent(
        decoder, [tool], thought_tokens=16, action_tokens=200, sampling=Sampling(temperature=1.0, seed=7), **options
    )


def check_run(events, tool):
    """What holds of a run whatever its model says."""
    assert isinstance(events[-1], RunEnded)
    result = events[-1].result
    assert result.ended in ("answer", "steps", "truncated")
    for event in events:
        if isinstance(event, Action):
            assert {call.tool for call in event.calls} <= {tool.name, ANSWER.name}
        if isinstance(event, Observation):
            assert event.ran or "not valid" in event.text
    decided = [event for event in events if isinstance(event, (Action, Truncated))]
    assert len(decided) == len([event for event in events if isinstance(event, Thought)]) == result.spent.steps
    called = [event for event in events if isinstance(event, DecoderCalled)]
    assert [event.purpose for event in called] == ["thought", "action"] * len(decided)
    assert result.spent.tokens == sum(event.usage.total_tokens for event in called)
    return decided, called


def test_the_loop_on_the_embedded_decoder(tiny_llama, loop):
    tool = loop.tool()
    with EmbeddedDecoder(tiny_llama) as decoder:
        events = list(agent(decoder, tool, budget=Budget(steps=3, tokens=None)).stream("2 + 3?"))
    check_run(events, tool)


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_the_loop_on_vllm(vllm_server, loop):
    tool = loop.tool()
    with ServedDecoder(vllm_server.base_url, model=vllm_server.model) as decoder:
        events = list(agent(decoder, tool, budget=Budget(steps=3, tokens=None)).stream("2 + 3?"))
        _, called = check_run(events, tool)
        assert all(event.usage.cached_tokens for event in called if event.purpose == "action")
        result = agent(decoder, tool, output=int, budget=Budget(steps=1, tokens=None)).run("2 + 3?")
        assert result.answer is None or isinstance(result.answer, int)
        several = agent(decoder, tool, parallel=True, budget=Budget(steps=3, tokens=None))
        assert isinstance(list(several.stream("2 + 3?"))[-1], RunEnded)


async def test_a_server_that_ignores_constraints_is_refused_before_anything_is_done(loop):
    asked, calls = [], []

    async def models(request):
        return web.json_response({"object": "list", "data": [{"id": "m", "owned_by": "vllm", "max_model_len": 4096}]})

    async def chat(request):
        body = await request.json()
        asked.append(body)
        text = json.dumps({"name": "add", "arguments": {"a": 1, "b": 2}})
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"id": "c", "model": "m", "choices": [choice]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
    try:
        async with ServedDecoder(url, model="m") as decoder:
            with pytest.raises(ConstraintIgnored):
                await Agent(decoder, [loop.tool(run=lambda a, b: calls.append(a))], thought_tokens=0).arun("Add.")
    finally:
        await runner.cleanup()
    assert calls == []
    assert all(
        "hearth" in json.dumps(body["structured_outputs"]) for body in asked
    )  # the probe's own schema, no action


@pytest.mark.parametrize(
    ("written", "mapped"),
    [
        (
            {"type": "dict", "properties": {"a": {"type": "float"}}},
            {"type": "object", "properties": {"a": {"type": "number"}}},
        ),
        ({"type": "tuple", "items": {"type": "any"}}, {"type": "array", "items": {}}),
        ({"type": "any", "description": "x"}, {"description": "x"}),
        ({"type": "integer", "maximum": "400", "optional": True}, {"type": "integer", "maximum": 400.0}),
        (
            {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]},
            {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        ),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
    ],
)
def test_schemas_of_the_leaderboard_as_json_schema(written, mapped):
    assert json_schema(written) == mapped
