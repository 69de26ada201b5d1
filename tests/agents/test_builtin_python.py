"""Python for the decoder. What holds the code is tested with the sandbox; here is the tool around it."""

import pytest

from agents import Agent
from agents.builtin import python_tool
from agents.builtin.python import result_text
from agents.events import Observation
from agents.exported import use
from agents.sandbox import SandboxUnavailable, check_sandbox
from agents.sandbox_types import Limits, SandboxResult
from decoder import ScriptedDecoder


@pytest.fixture(scope="module")
def sandbox():
    try:
        return check_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


async def test_what_is_printed_comes_back(sandbox):
    made = python_tool(files={"numbers.txt": b"1 2 3"})
    found = await use(made, {"code": "print(sum(map(int, open('numbers.txt').read().split())))"})
    assert found == "6"


async def test_errors_and_limits_are_told(sandbox):
    assert "ZeroDivisionError" in await use(python_tool(), {"code": "1/0"})
    slow = await use(python_tool(Limits(seconds=0.5)), {"code": "while True: pass"})
    assert slow.endswith("[It ended: timeout.]")


def test_an_agent_runs_it_without_asking_though_untrusted_text_was_read(sandbox):
    acts = [
        '{"name": "python", "arguments": {"code": "print(1)"}}',
        '{"name": "python", "arguments": {"code": "print(2)"}}',
    ]
    decoder = ScriptedDecoder([*acts, '{"name": "final_answer", "arguments": {"answer": "done"}}'])
    events = list(Agent(decoder, [python_tool()], thought_tokens=0).stream("go"))
    seen = [event for event in events if isinstance(event, Observation)]
    assert [event.text for event in seen] == ["1", "2"]
    assert all(event.untrusted for event in seen)


def test_results_as_text():
    assert result_text(SandboxResult("ok", 0, "", "")) == "(It printed nothing.)"
    assert result_text(SandboxResult("killed", 139, "a\n", "")) == "a\n[It ended: killed.]"


def test_its_time_holds_a_whole_run():
    made = python_tool(Limits(seconds=5))
    assert made.timeout > 5
    assert (made.effect, made.trusted) == ("read", False)
