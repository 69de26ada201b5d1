"""Tools of LangChain and LlamaIndex, with the real libraries: theirs in our agent, ours in theirs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Annotated

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import BaseTool as LangChainBase
from langchain_core.tools import InjectedToolArg, StructuredTool, ToolException
from langchain_core.tools import Tool as TextTool
from langchain_core.tools import tool as langchain_tool
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context
from pydantic import BaseModel, Field

from agents import Agent, Policy, tool
from agents.errors import ToolError
from agents.events import Observation
from agents.exported import guarded, use
from agents.foreign import as_tool
from agents.langchain import from_langchain, to_langchain
from agents.llamaindex import from_llamaindex, to_llamaindex
from decoder.constraint import tool_call
from decoder.masking import check_enforced
from decoder.scripted import ScriptedDecoder
from decoder.types import Message
from decoder.types import ToolCall as Called

END = '{"name": "final_answer", "arguments": {"answer": "done"}}'


@langchain_tool
def multiply(a: int, b: Annotated[int, Field(ge=0)] = 2) -> int:
    """Multiply two numbers."""
    return a * b


@langchain_tool
async def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


@langchain_tool(parse_docstring=True)
def tags(names: set[str], weights: dict[str, int]) -> int:
    """Count.

    Args:
        names: what to count
        weights: more
    """
    return len(names)


@langchain_tool
def for_a_user(text: str, user: Annotated[str, InjectedToolArg]) -> str:
    """Needs what LangGraph injects."""
    return f"{user}{text}"


class Own(LangChainBase):
    name: str = "own"
    description: str = "A class of one's own."

    def _run(self, count: int) -> str:
        return "x" * count


class Place(BaseModel):
    city: str
    country: str = "IT"


@tool(effect="write", timeout=1)
def book(config: Place, run_manager: int, self: str = "me", schema: float = 1.5) -> str:
    """Book a table.

    Args:
        config: where
    """
    return f"{config.city} {config.country} {run_manager} {self} {schema}"


GOOD = {"config": {"city": "Rome"}, "run_manager": 2}
BAD = {"config": {"city": "Rome"}, "run_manager": "2"}


def observed(agent):
    return [event for event in agent.stream("go") if isinstance(event, Observation)]


def called(name, arguments):
    return Message("assistant", "", tool_calls=(Called(f"{name} {arguments}", name, json.dumps(arguments)),))


def acts(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def test_an_agent_takes_langchain_tools_as_they_are():
    asked = [("multiply", {"a": 3}), ("shout", {"text": "hi"}), ("multiply", {"a": "3"})]
    decoder = ScriptedDecoder([*(called(name, arguments) for name, arguments in asked), "Done."])
    results = observed(Agent(decoder, [multiply, shout], mode="native"))
    assert [each.text for each in results[:2]] == ["6", "HI"]
    assert 'a should be a valid integer, not "3"' in results[2].text
    assert results[2].ran is False


def test_an_agent_takes_llamaindex_tools_as_they_are():
    def double(number: int) -> dict[str, int]:
        """Double it."""
        return {"result": number * 2}

    decoder = ScriptedDecoder([acts("double", number=4), END])
    (result,) = observed(Agent(decoder, [FunctionTool.from_defaults(double)], thought_tokens=0))
    assert result.text == '{"result": 8}'


@pytest.mark.parametrize(
    ("foreign", "arguments", "result"),
    [
        (multiply, {"a": 3, "b": 4}, "12"),
        (shout, {"text": "hi"}, "HI"),
        (tags, {"names": ["a", "b"], "weights": {"x": 1}}, "2"),
        (Own(), {"count": 3}, "xxx"),
        (TextTool(name="echo", description="d", func=lambda text: text + "!"), {"tool_input": "a"}, "a!"),
        (
            StructuredTool(
                name="plain",
                description="d",
                func=lambda **arguments: sorted(arguments),
                args_schema={"type": "object", "properties": {"z": {"type": "integer"}}, "required": ["z"]},
            ),
            {"z": 1},
            '["z"]',
        ),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
async def test_every_kind_of_langchain_tool(foreign, arguments, result):
    made = from_langchain(foreign)
    assert (made.name, made.effect) == (foreign.name, "write")
    check_enforced(tool_call([made.spec]).value)
    assert await use(made, arguments) == result
    with pytest.raises(ValueError, match=r"no wrong|missing|required"):
        made.validate({"wrong": 1})


def test_a_foreign_tool_writes_unless_it_says_otherwise():
    assert as_tool(multiply).effect == "write"
    assert from_langchain(multiply, effect="read", timeout=3).effect == "read"
    assert from_langchain(to_langchain(tool(effect="read", name="five")(lambda: 5))).effect == "read"
    assert from_llamaindex(FunctionTool.from_defaults(lambda: 5, name="five", description="")).effect == "write"


def test_what_only_a_graph_injects_cannot_be_had():
    with pytest.raises(ToolError, match="wants user"):
        from_langchain(for_a_user)

    def in_a_workflow(ctx: Context, x: int) -> int:
        """Needs a context."""
        return x

    in_a_workflow.__annotations__ = {"ctx": Context, "x": int, "return": int}
    with pytest.raises(ToolError, match="context"):
        from_llamaindex(FunctionTool.from_defaults(in_a_workflow))


async def test_llamaindex_async_and_partial_and_documents():
    async def later(text: str, times: int) -> str:
        """Repeat."""
        return text * times

    made = from_llamaindex(FunctionTool.from_defaults(async_fn=later, name="later", partial_params={"times": 2}))
    assert list(made.parameters["properties"]) == ["text"]
    assert await use(made, {"text": "ab"}) == "abab"


def test_things_that_are_no_tools():
    with pytest.raises(ToolError, match="int is no tool"):
        Agent(ScriptedDecoder([]), [5])


def test_our_tool_in_langchain_keeps_its_validation():
    theirs = to_langchain(book)
    assert theirs.args["config"] == {"$ref": "#/$defs/Place", "description": "where"}
    assert theirs.invoke(GOOD) == "Rome IT 2 me 1.5"
    assert "run_manager should be a valid integer" in theirs.invoke(BAD)
    called = theirs.invoke({"type": "tool_call", "id": "1", "name": "book", "args": BAD})
    assert isinstance(called, ToolMessage)
    assert called.status == "error"
    assert asyncio.run(theirs.ainvoke({**GOOD, "self": "you"})) == "Rome IT 2 you 1.5"
    assert theirs.metadata == {"effect": "write"}


def test_our_tool_in_langchains_agent():
    from langchain.agents import create_agent

    from decoder.langchain import ChatHearth

    calls = [
        Message("assistant", "", tool_calls=(Called(f"c{n}", "book", json.dumps(a)),))
        for n, a in enumerate([BAD, GOOD])
    ]
    model = ChatHearth(decoder=ScriptedDecoder([*calls, "Booked."]))
    found = create_agent(model, [to_langchain(book)]).invoke({"messages": [HumanMessage("Book in Rome")]})
    contents = [message.content for message in found["messages"]]
    assert "run_manager should be a valid integer" in contents[2]
    assert contents[4:] == ["Rome IT 2 me 1.5", "Booked."]


async def test_our_tool_in_llamaindex_keeps_its_validation():
    theirs = to_llamaindex(book)
    assert theirs.metadata.get_parameters_dict()["required"] == ["config", "run_manager"]
    assert theirs.metadata.get_parameters_dict()["$defs"].keys() == {"Place"}
    assert (await theirs.acall(**GOOD)).content == "Rome IT 2 me 1.5"
    assert (await asyncio.to_thread(theirs.call, **GOOD)).content == "Rome IT 2 me 1.5"
    with pytest.raises(ValueError, match="run_manager should be a valid integer"):
        await theirs.acall(**BAD)


async def test_there_and_back():
    assert await use(from_llamaindex(to_llamaindex(book)), GOOD) == "Rome IT 2 me 1.5"
    assert await use(from_langchain(to_langchain(book)), GOOD) == "Rome IT 2 me 1.5"


async def test_exported_tools_keep_time_and_size():
    slow = tool(name="slow", timeout=0.05)(lambda: time.sleep(1))
    long = tool(name="long", max_characters=100)(lambda: "x" * 1000)
    with pytest.raises(TimeoutError, match=r"slow did not end within 0\.05 s"):
        await use(slow, {})
    assert "did not end" in await to_langchain(slow).ainvoke({})
    assert "900 characters left out" in await to_langchain(long).ainvoke({})


async def test_exported_tools_have_no_policy_unless_one_is_put_around_them():
    asked = []

    def approve(request):
        asked.append((request.task, request.call.arguments, request.untrusted))
        return len(asked) == 1

    theirs = to_langchain(guarded(book, Policy(approve=approve), task="a table in Rome"))
    assert await to_langchain(book).ainvoke(GOOD) == "Rome IT 2 me 1.5"
    assert await theirs.ainvoke(GOOD) == "Rome IT 2 me 1.5"
    with pytest.raises(PermissionError, match="Not approved"):
        await theirs.ainvoke(GOOD)
    assert [(task, untrusted) for task, _, untrusted in asked] == [("a table in Rome", True)] * 2
    with pytest.raises(PermissionError, match="limit"):
        await use(guarded(multiply_ours(), Policy(limits={"multiply": 0})), {"a": 1})


def multiply_ours():
    return from_langchain(multiply, effect="read")


async def test_what_a_langchain_tool_raises_is_raised():
    def fails(text: str) -> str:
        raise ToolException(f"no {text}")

    made = from_langchain(StructuredTool.from_function(fails, description="d"))
    with pytest.raises(ToolException, match="no luck"):
        await use(made, {"text": "luck"})


def test_no_library_is_imported_for_an_agent_without_its_tools():
    code = (
        "import sys; from agents import Agent, tool; from decoder import ScriptedDecoder\n"
        "Agent(ScriptedDecoder([]), [tool(name='five')(lambda: 5)])\n"
        "assert not {'langchain_core', 'llama_index'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
