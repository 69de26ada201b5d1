"""Asks whoever may say yes, and waits no longer than the policy allows."""

from __future__ import annotations

import asyncio

from agents.calls import call_function
from agents.events import Call
from agents.policy import ApprovalRequest, Policy
from agents.tool import Tool


async def ask_approver(
    policy: Policy, task: str, call: Call, tool: Tool, reason: str, untrusted: bool
) -> tuple[bool, str]:
    """The answer, and where it came from: "approver", "no approver" or "no answer in time".

    Only True is a yes: an approver that gives anything else has not approved. What it raises ends the run.
    """
    if policy.approve is None:
        return False, "no approver"
    request = ApprovalRequest(task, call, tool.effect, reason, untrusted)
    try:
        async with asyncio.timeout(policy.approval_timeout):
            answer = await call_function(policy.approve, {"request": request})
    except TimeoutError:
        return False, "no answer in time"
    return answer is True, "approver"
