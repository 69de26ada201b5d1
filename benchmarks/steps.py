"""Milliseconds of one agent step (decoder call, tool, bookkeeping), beside what a user would otherwise pick.

    python -m benchmarks.steps [--rounds 7] [--json]

Peers are measured where they are installed, in an environment of their own so that their versions do not bind ours:

    python -m venv peers && peers/bin/pip install aiohttp pydantic jsonschema langchain langchain-openai \\
        llama-index-core llama-index-llms-openai-like 'smolagents[openai]' 'pydantic-ai-slim[openai]' openai-agents
    peers/bin/python -m benchmarks.steps

The server is a mock on loopback, a process of its own, that asks for 20 calls of `add` and then answers; it takes no
time to think, so what is measured is the framework. All take turns, round by round, in one process; ratios are taken
within each round. Ours is measured twice: with thought and constrained action (two decoder calls a step), and with
the server's native tool calls (one, as the peers make). Exits with 1 when ours takes more than 3 ms a step.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.concurrency import Mock, mock_server, serve

STEPS = 20
LIMIT_MS = 3.0
TASK = "Add one, twenty times."
Run = Callable[[], Awaitable[Any]]


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """What the mock's model says: to think, to act or, after twenty calls, to answer."""
    messages = body["messages"]
    if "structured_outputs" in body or "response_format" in body:
        if "hearth" in json.dumps(body.get("structured_outputs", body.get("response_format"))):
            return {"content": '{"hearth": "ember-7351-kiln"}'}  # asked whether constraints are enforced
        done = sum(m["role"] == "assistant" and m["content"].startswith("{") for m in messages)
        call = {"name": "add", "arguments": {"a": done, "b": 1}}
        return {"content": json.dumps(call if done < STEPS else _answer())}
    if not body.get("tools"):
        return {"content": "I add one more."}
    # smolagents gives results as a user's text.
    done = sum(m["role"] == "tool" or "Observation:" in json.dumps(m["content"]) for m in messages)
    names = {tool["function"]["name"] for tool in body["tools"]}
    if done < STEPS:
        return _called("add", {"a": done, "b": 1}, done)
    return _called("final_answer", {"answer": "done"}, done) if "final_answer" in names else {"content": "done"}


def _answer() -> dict[str, Any]:
    return {"name": "final_answer", "arguments": {"answer": "done"}}


def _called(name: str, arguments: dict[str, Any], number: int) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}]}


class Model(Mock):
    """The mock that says what `reply` says."""

    def answer(self, body: bytes) -> bytes:
        """The models to a request without a body, else a completion."""
        said = json.dumps(_completion(json.loads(body)) if body else _models()).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(said) + said


def _models() -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "vllm", "created": 1}]}


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", **reply(body)}
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def hearth(base_url: str, mode: str) -> Run:
    """Ours."""
    from agents import Agent, Budget, Tool
    from decoder import ServedDecoder

    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    add = Tool("add", "Add two numbers.", schema, lambda a, b: a + b, effect="read")
    decoder = ServedDecoder(base_url, "mock", preset="vllm", api_key="k")
    agent = Agent(decoder, [add], mode=mode, budget=Budget(steps=30, tokens=None))

    async def run() -> Any:
        result = await agent.arun(TASK)
        assert result.ok and result.spent.tool_calls == STEPS, result
        return result.answer

    return run


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: one number
        b: the other
    """
    return a + b


def langchain(base_url: str) -> Run:
    """LangChain's create_agent."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model="mock", base_url=base_url, api_key="k"), [add])
    ask = {"messages": [{"role": "user", "content": TASK}]}

    async def run() -> Any:
        state = await agent.ainvoke(ask, {"recursion_limit": 100})
        assert len(state["messages"]) == 2 * STEPS + 2
        return state["messages"][-1].content

    return run


def llamaindex(base_url: str) -> Run:
    """LlamaIndex's FunctionAgent."""
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(model="mock", api_base=base_url, api_key="k", is_chat_model=True, is_function_calling_model=True)
    agent = FunctionAgent(tools=[add], llm=llm, streaming=False)

    async def run() -> Any:
        result = await agent.run(TASK, max_iterations=30)
        assert len(result.tool_calls) == STEPS
        return str(result)

    return run


def smolagents(base_url: str) -> Run:
    """smolagents' ToolCallingAgent, which is sync."""
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    model = OpenAIServerModel("mock", api_base=base_url, api_key="k")
    agent = ToolCallingAgent([tool(add)], model, max_steps=30, verbosity_level=0)

    async def run() -> Any:
        return agent.run(TASK)

    return run


def pydantic_ai(base_url: str) -> Run:
    """pydantic-ai's Agent."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("mock", provider=OpenAIProvider(base_url=base_url, api_key="k"))
    agent = Agent(model, tools=[add])

    async def run() -> Any:
        return (await agent.run(TASK)).output

    return run


def openai_agents(base_url: str) -> Run:
    """openai-agents."""
    from openai import AsyncOpenAI

    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled

    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel("mock", AsyncOpenAI(base_url=base_url, api_key="k"))
    agent = Agent(name="agent", tools=[function_tool(add)], model=model)

    async def run() -> Any:
        return (await Runner.run(agent, TASK, max_turns=30)).final_output

    return run


PEERS = {
    "langchain create_agent": ("langchain_openai", langchain),
    "llama-index FunctionAgent": ("llama_index.llms.openai_like", llamaindex),
    "smolagents": ("smolagents", smolagents),
    "pydantic-ai": ("pydantic_ai", pydantic_ai),
}


def contenders(base_url: str) -> dict[str, Run]:
    """Ours and the peers that are installed. openai-agents has our package's name and runs beside, by itself."""
    found = {
        "hearth, thought and constrained action": hearth(base_url, "constrained"),
        "hearth, native calls": hearth(base_url, "native"),
    }
    for name, (package, make) in PEERS.items():
        if _installed(package):
            found[name] = make(base_url)
    return found


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


async def measure(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step of every contender, by round; one run before does not count."""
    for run in runs.values():
        await run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            await run()
            times[name].append((time.perf_counter() - began) * 1000 / STEPS)
    return times


class OpenAIAgents:
    """openai-agents in a process of its own, away from our folder; it runs when told to, so it takes turns too."""

    def __init__(self, base_url: str) -> None:
        command = [sys.executable, "-P", __file__, "--openai-agents", base_url]
        self.process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.works = self.process.stdout.readline().strip() == "ready"

    def once(self) -> float:
        """Milliseconds a step of one run."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def beside(base_url: str) -> None:
    """The other process: a run for each line that comes in."""
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [p for p in sys.path if p not in (here, str(Path(here).parent))]
    run, loop = openai_agents(base_url), asyncio.new_event_loop()
    loop.run_until_complete(run())
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        loop.run_until_complete(run())
        print((time.perf_counter() - began) * 1000 / STEPS, flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--openai-agents", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(Model))
        return 0
    if arguments.openai_agents:
        beside(arguments.openai_agents)
        return 0
    logging.disable(logging.WARNING)
    os.environ.setdefault("OTEL_SDK_DISABLED", "true")
    with mock_server(__file__) as base_url:
        times = asyncio.run(all_of_them(base_url, arguments.rounds))
    return report(times, arguments.json)


async def all_of_them(base_url: str, rounds: int) -> dict[str, list[float]]:
    """Everybody in turn."""
    runs, other = contenders(base_url), None
    if _installed("smolagents"):  # the environment of the peers
        other = OpenAIAgents(base_url)
        if other.works:
            runs["openai-agents"] = lambda: asyncio.to_thread(other.once)
    times = await measure(runs, rounds)
    if other is not None:
        other.process.kill()
        other.process.wait()
    return times


def report(times: dict[str, list[float]], as_json: bool) -> int:
    """Medians and ratios to ours with native calls, which makes as many decoder calls as they do."""
    ours = times["hearth, native calls"]
    rows = {}
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, ours, strict=True)]
        rows[name] = {"ms a step": round(statistics.median(values), 2), "ratio": round(statistics.median(ratios), 2)}
    if as_json:
        print(json.dumps(rows))
    else:
        for name, row in rows.items():
            print(f"{name:42} {row['ms a step']:7.2f} ms a step   {row['ratio']:6.2f} times ours")
    slow = [n for n, row in rows.items() if n.startswith("hearth") and row["ms a step"] > LIMIT_MS]
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
