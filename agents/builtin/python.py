"""Python for the decoder, in the sandbox of `agents/sandbox.py`: no network, no files of yours, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from agents.tool import Tool

if TYPE_CHECKING:
    from agents.sandbox_types import Limits, SandboxResult


def python_tool(limits: Limits | None = None, files: Mapping[str, bytes] | None = None, **options: Any) -> Tool:
    """The tool `python`. It changes nothing outside, so its effect is "read"; what it prints is untrusted.

    Where this machine cannot isolate code, each call is refused with what to do about it, and nothing runs.

    Args:
        limits: what a run may use.
        files: content by relative path, there for every run.
        options: fields of `Tool`.
    """
    from pydantic import Field

    from agents.sandbox_types import Limits
    from agents.signature import read_signature

    allowed = limits or Limits()

    async def python(code: Annotated[str, Field(min_length=1, max_length=100_000)]) -> str:
        """Run a Python program and see what it prints.

        The standard library is there, installed packages and the network are not. Nothing is kept between two runs:
        print what you want to know.

        Args:
            code: the whole program.
        """
        from agents.sandbox import arun_python

        return result_text(await arun_python(code, limits=allowed, files=files))

    return read_signature(python, **{"effect": "read", "timeout": allowed.seconds + 20.0, **options})


def result_text(result: SandboxResult) -> str:
    """What a run printed, and why it ended where that was not by itself."""
    text = result.text or "(It printed nothing.)"
    return text if result.ok else f"{text}\n[It ended: {result.reason}.]"
