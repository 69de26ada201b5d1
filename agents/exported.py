"""A tool in the hands of another framework: its arguments are still validated, its time and its result bounded.

Policy belongs to the run of an agent, and there is none here: no taint is known, nobody is asked. `guarded` puts one
policy around one tool for such use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.approval import ask_approver
from agents.calls import as_text, call_function, shorten
from agents.events import Call
from agents.policy import Policy
from agents.tool import Tool


async def use(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """The result of one call, as text within the tool's budget.

    Raises ValueError for arguments that are not valid, TimeoutError when time is up, and what the tool raises.
    """
    return await carried_out(tool, tool.validate(arguments))


async def carried_out(tool: Tool, validated: Mapping[str, Any]) -> str:
    """`use` for arguments that have been validated."""
    try:
        async with asyncio.timeout(tool.timeout):
            value = await call_function(tool.run, validated)
    except TimeoutError:
        raise TimeoutError(f"{tool.name} did not end within {tool.timeout:g} s") from None
    return shorten(as_text(value), tool.max_characters)[0]


def guarded(tool: Tool, policy: Policy, task: str = "") -> Tool:
    """The tool behind a policy, for frameworks that have none. What is not allowed raises PermissionError.

    Everything in the conversation counts as untrusted, since nothing is known of it; the policy's limits hold for the
    life of the guarded tool, and the approver sees the arguments after validation.

    Args:
        task: the user's words, for the approver.
    """
    called = 0

    async def run(**arguments: Any) -> Any:
        nonlocal called
        decision = policy.decide(tool, untrusted=True, calls_before=called)
        if decision.verdict == "deny":
            raise PermissionError(f"Not allowed: {decision.reason}.")
        if decision.verdict == "ask":
            call = Call("", tool.name, arguments)
            approved, _ = await ask_approver(policy, task, call, tool, decision.reason, untrusted=True)
            if not approved:
                raise PermissionError(f"Not approved: {decision.reason}.")
        called += 1
        return await call_function(tool.run, arguments)

    return replace(tool, run=run)
