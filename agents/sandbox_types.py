"""What a sandboxed run may use, and what comes back from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agents.sandbox_errors import SandboxRefused

MIB = 1 << 20
Reason = Literal["ok", "error", "timeout", "memory", "killed", "output"]
"""ok: status 0. error: an exception or another status. timeout: wall or CPU seconds ran out. memory: a MemoryError that
nothing caught. killed: a signal ended it, as in a crash. output: it printed more, or made more files, than allowed.
"""


@dataclass(frozen=True)
class Limits:
    """What one run may use. A run has one process and one thread, so each limit holds for the whole of it.

    Attributes:
        seconds: wall-clock time, without the start of the interpreter.
        cpu_seconds: processor time, start included; whole seconds.
        memory: bytes of address space, interpreter (about 30 MiB) included.
        scratch: bytes that all files in the scratch folder may hold together; they live in memory too.
        files: how many files and folders the scratch folder may hold; looked at 20 times a second.
        open_files: file descriptors.
        output: bytes kept of standard output and of standard error each; more ends the run.
        fetch: bytes of files that come back, in all.
    """

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory: int = 512 * MIB
    scratch: int = 64 * MIB
    files: int = 1000
    open_files: int = 64
    output: int = 64 * 1024
    fetch: int = 8 * MIB

    def __post_init__(self) -> None:
        for name, least in (("seconds", 0.01), ("cpu_seconds", 1), ("memory", 64 * MIB), ("scratch", 4096)):
            if not getattr(self, name) >= least:
                raise SandboxRefused(
                    "limiting a sandbox", f"{name} is {getattr(self, name)}", f"Allow {least} or more."
                )
        for name, least in (("files", 1), ("open_files", 16), ("output", 0), ("fetch", 0)):
            if getattr(self, name) < least:
                raise SandboxRefused(
                    "limiting a sandbox", f"{name} is {getattr(self, name)}", f"Allow {least} or more."
                )


@dataclass(frozen=True)
class SandboxResult:
    """How a run ended and what it left. All text and bytes in it are untrusted.

    Attributes:
        reason: why it ended.
        exit_status: what the process exited with, 128 + N after signal N; None where the sandbox ended it.
        stdout: what it printed, UTF-8 with replacement; cut at `Limits.output` with a notice at the end.
        stderr: the same of standard error; a traceback stands here.
        files: what it wrote to the scratch folder, by path within it.
        notices: what the reader should know beside: files that did not come back, limits that were met.
        seconds: wall-clock time from handing over the code to its end.
    """

    reason: Reason
    exit_status: int | None
    stdout: str
    stderr: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """It ran to its end with status 0."""
        return self.reason == "ok"

    @property
    def text(self) -> str:
        """All of it as a reader, or a model, would want to see it: output, errors, files' names, notices."""
        parts = [self.stdout.rstrip("\n"), self.stderr.rstrip("\n")]
        parts += [f"[file {name}: {len(data)} bytes]" for name, data in self.files.items()]
        parts += [f"[{notice}]" for notice in self.notices]
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Isolation:
    """What holds a run on this machine, found by a probe that ran inside.

    Attributes:
        bubblewrap: its version.
        landlock: the kernel's Landlock ABI; 0 where it has none, and then namespaces, read-only mounts and seccomp hold
            alone.
    """

    bubblewrap: str
    landlock: int
