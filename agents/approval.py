"""Asks whoever may say yes, and waits no longer than the policy allows."""

from __future__ import annotations

from agents.calls import OutOfTime, call_function, within
from agents.events import Call
from agents.policy import ApprovalRequest, Policy
from agents.tool import Tool


async def ask_approver(
    policy: Policy, task: str, call: Call, tool: Tool, reason: str, untrusted: bool
) -> tuple[bool, str]:
    """The answer, and where it came from: "approver", "no approver" or "no answer in time".

    Only True is a yes: an approver that gives anything else has not approved. What it raises ends the run.
    """
    approve = policy.approve
    if approve is None:
        return False, "no approver"
    request = ApprovalRequest(task, call, tool.effect, reason, untrusted)
    try:
        answer = await within(policy.approval_timeout, call_function(lambda: approve(request), {}))
    except OutOfTime:
        return False, "no answer in time"
    return answer is True, "approver"
