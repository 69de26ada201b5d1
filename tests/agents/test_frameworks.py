"""LangChain's and LlamaIndex's own agents on our decoders: whatever the model, each call that is whole is valid.

The models have random weights: nothing but the constraint can make their calls right. Outputs that max_tokens cut off
are no calls, and are counted apart.
"""

import asyncio
import gc
import json
from typing import Annotated, Literal

import pytest

pytest.importorskip("langchain.agents", reason="langchain is in the dev extra")
pytest.importorskip("llama_index.core", reason="llama-index-core is in the rag extra")

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field

from decoder import EmbeddedDecoder, Sampling, ScriptedDecoder, ServedDecoder, UsageError
from decoder.langchain import ChatHearth
from decoder.llamaindex import HearthLLM
from decoder.toolcalls import BEGIN, END

# LlamaIndex's own, as in tests/decoder/test_llamaindex.py.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:<aiosqlite:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:(The `__fields|Accessing the .model_)"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),  # ReActAgent's own
]


@pytest.fixture(autouse=True)
def collected():
    """What LlamaIndex left behind is collected while the filters hold."""
    yield
    gc.collect()


class Room(BaseModel):
    """A room."""

    floor: Annotated[int, Field(ge=0, le=9)]
    side: Literal["north", "south"]


def book(room: Room, nights: Annotated[int, Field(ge=1, le=30)], breakfast: bool) -> str:
    """Book a room."""
    assert isinstance(nights, int)
    return f"booked for {nights} nights"


def light(rooms: list[Room], colour: Literal["red", "green"] | None = None) -> str:
    """Light some rooms."""
    return "lit"


def note(text: str) -> str:
    """Take a note."""
    return "noted"


def switch(on: bool) -> str:
    """Switch it on or off."""
    return "on" if on is True else "off"


FUNCTIONS = (book, light, note)


@wrap_model_call
async def must_call(request, handler):
    """LangChain's way to require a call."""
    return await handler(request.override(tool_choice="any"))


async def langchain_run(decoder, functions, seed, max_tokens):
    """What create_agent made of one required call: what the tool gave, or None where the output was cut off."""
    tools = [tool(function, return_direct=True) for function in functions]
    model = ChatHearth(decoder=decoder, max_tokens=max_tokens, seed=seed, temperature=1.0)
    state = await create_agent(model, tools, middleware=[must_call]).ainvoke({"messages": [("user", "Do it.")]})
    said, result = state["messages"][1], state["messages"][-1]
    assert isinstance(said, AIMessage)
    assert said.invalid_tool_calls == []
    if said.response_metadata["finish_reason"] == "length":
        assert said.tool_calls == []
        return None
    assert isinstance(result, ToolMessage)
    assert result.status == "success", result.content
    return result.content


async def llamaindex_run(decoder, functions, seed, max_tokens):
    """The same of FunctionAgent."""
    tools = [FunctionTool.from_defaults(function, return_direct=True) for function in functions]
    llm = HearthLLM(decoder=decoder, sampling=Sampling(max_tokens=max_tokens, seed=seed, temperature=1.0))
    handler = FunctionAgent(tools=tools, llm=llm, initial_tool_choice="required").run("Do it.")
    results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    output = await handler
    if not results:
        assert output.raw.choices[0].finish_reason == "length"
        return None
    (result,) = results
    assert not result.tool_output.is_error, result.tool_output.content
    return result.tool_output.content


async def count(run, decoder, functions, seeds, max_tokens):
    """Runs whose call was carried out, and those whose output was cut off; any other fails."""
    given = await asyncio.gather(*(run(decoder, functions, seed, max_tokens) for seed in seeds))
    done = [each for each in given if each is not None]
    return len(done), len(given) - len(done)


RUNS = pytest.mark.parametrize("run", [langchain_run, llamaindex_run], ids=["create_agent", "FunctionAgent"])


@RUNS
async def test_random_weights_in_process_make_no_invalid_call(tiny_llama, run, capsys):
    with EmbeddedDecoder(tiny_llama, device="cpu") as decoder:
        done, cut = await count(run, decoder, FUNCTIONS, range(12), 160)
    with capsys.disabled():
        print(f"\n{run.__name__}, in process: {done} calls carried out, {cut} cut off by max_tokens")
    assert done >= 4


@RUNS
@pytest.mark.vllm
async def test_random_weights_on_vllm_without_a_tool_parser_make_no_invalid_call(vllm_server, run, capsys):
    async with ServedDecoder(vllm_server.base_url, vllm_server.model) as decoder:
        done, cut = await count(run, decoder, (book, switch), range(16), 400)
    with capsys.disabled():
        print(f"\n{run.__name__}, vLLM: {done} calls carried out, {cut} cut off by max_tokens")
    assert done >= 8


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def tagged(name, **arguments):
    return f"{BEGIN}{call(name, **arguments)}{END}"


def scripted(*script):
    return HearthLLM(decoder=ScriptedDecoder(script))


def test_create_agent_goes_on_until_there_is_an_answer():
    decoder = ScriptedDecoder([tagged("note", text="a"), tagged("note", text="b"), "Both are noted."])
    agent = create_agent(ChatHearth(decoder=decoder), [tool(note)], system_prompt="Be brief.")
    state = agent.invoke({"messages": [("user", "Note a and b.")]})
    assert state["messages"][-1].content == "Both are noted."
    assert {request.constraint.kind for request in decoder.requests} == {"structural_tag"}
    assert all(request.tools == () for request in decoder.requests)  # nothing is left to a parser on the server
    assert "Be brief." in decoder.requests[0].messages[0].text


def test_create_agent_gives_a_typed_answer():
    decoder = ScriptedDecoder([call("Room", floor=2, side="north")])
    agent = create_agent(ChatHearth(decoder=decoder), [], response_format=Room)
    assert agent.invoke({"messages": [("user", "Which room?")]})["structured_response"] == Room(floor=2, side="north")


async def test_function_agent_calls_side_by_side_and_answers():
    llm = scripted(tagged("note", text="a") + tagged("note", text="b"), "Both are noted.")
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(note)], llm=llm, system_prompt="Be brief.")
    handler = agent.run("Note a and b.")
    results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    assert str(await handler) == "Both are noted."
    assert sorted(event.tool_kwargs["text"] for event in results) == ["a", "b"]
    assert {request.constraint.kind for request in llm.decoder.requests} == {"structural_tag"}


async def test_a_tool_named_by_function_agent_is_the_only_one_allowed():
    tools = [FunctionTool.from_defaults(function) for function in FUNCTIONS]
    llm = scripted(call("note", text="a"), "Noted.")
    assert str(await FunctionAgent(tools=tools, llm=llm, initial_tool_choice="note").run("Note a.")) == "Noted."
    first, second = llm.decoder.requests
    assert first.constraint.value["properties"]["name"] == {"const": "note"}
    assert second.constraint.kind == "structural_tag"
    with pytest.raises(UsageError, match="no tool of these"):
        await FunctionAgent(tools=tools, llm=scripted(), initial_tool_choice="nite").run("Note a.")


async def test_agents_of_llamaindex_hand_over_to_each_other():
    first = FunctionAgent(
        name="first", description="Starts.", llm=scripted(tagged("handoff", to_agent="second", reason="It writes.")),
        can_handoff_to=["second"],
    )  # fmt: skip
    writer = scripted(tagged("note", text="a"), "Noted.")
    second = FunctionAgent(name="second", description="Writes.", llm=writer, tools=[FunctionTool.from_defaults(note)])
    assert str(await AgentWorkflow(agents=[first, second], root_agent="first").run("Note a.")) == "Noted."


async def test_llamaindexs_react_agent_runs_on_its_own_format():
    llm = scripted(
        'Thought: I need to use a tool.\nAction: note\nAction Input: {"text": "a"}',
        "Thought: I can answer without using any more tools.\nAnswer: It is noted.",
    )
    agent = ReActAgent(tools=[FunctionTool.from_defaults(note)], llm=llm)
    assert str(await asyncio.wait_for(agent.run("Note a."), 30)) == "It is noted."
    assert "Observation: noted" in llm.decoder.requests[1].messages[-1].text
