"""Asking a person on the page for approval, by two files in the job's folder: the job asks, the page answers.

ask.json      the one call that waits for an answer, under a nonce of its own; absent while none does
answer.json   the page's answer, which holds for the ask of its nonce alone

One ask stands at a time. A person who presses a button of an earlier card answers that card's ask and no other.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.runs.record import read_object, write_whole

if TYPE_CHECKING:
    from agents.policy import ApprovalRequest

LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that waits for a yes or a no.

    Attributes:
        nonce: names it; an answer has to give it.
        tool, arguments, effect, reason, task, untrusted: as `agents.ApprovalRequest`.
        until: when it is taken for a no, seconds since 1970.
    """

    nonce: str
    tool: str
    arguments: Mapping[str, Any]
    effect: str
    reason: str
    task: str
    untrusted: bool
    until: float


def asker(folder: Path, seconds: float) -> Callable[[ApprovalRequest], Awaitable[bool]]:
    """An approver that asks in `folder`. Who calls it waits no longer than `seconds`, its policy's timeout."""
    turn = asyncio.Lock()

    async def approve(request: ApprovalRequest) -> bool:
        async with turn:
            nonce = _ask(folder, request, seconds)
            try:
                while (answer := _answered(folder, nonce)) is None:  # noqa: ASYNC110  # another process answers
                    await asyncio.sleep(LOOK_SECONDS)
                return answer
            finally:
                (folder / "ask.json").unlink(missing_ok=True)

    return approve


def pending(folder: Path) -> Ask | None:
    """The ask that is still without an answer."""
    stored = read_object(folder / "ask.json")
    if not stored or _answered(folder, stored["nonce"]) is not None:
        return None
    return Ask(**stored)


def answer(folder: Path, nonce: str, approved: bool) -> None:
    """Answer the ask of this nonce; one that is over takes no notice. Raises CheckpointFailed."""
    stored = read_object(folder / "ask.json")
    if stored.get("nonce") == nonce and _answered(folder, nonce) is None:
        write_whole(folder / "answer.json", json.dumps({"nonce": nonce, "approved": approved}), "answering an agent")


def _ask(folder: Path, request: ApprovalRequest, seconds: float) -> str:
    nonce = secrets.token_hex(8)
    asked = {
        "nonce": nonce,
        "tool": request.call.tool,
        "arguments": dict(request.call.arguments),
        "effect": request.effect,
        "reason": request.reason,
        "task": request.task,
        "untrusted": request.untrusted,
        "until": time.time() + seconds,
    }
    write_whole(folder / "ask.json", json.dumps(asked), "asking for approval")
    return nonce


def _answered(folder: Path, nonce: str) -> bool | None:
    given = read_object(folder / "answer.json")
    return given.get("approved") is True if given.get("nonce") == nonce else None
