"""Run Python that nobody vouches for: `run_python(code)` under namespaces, seccomp and Landlock, or not at all.

bubblewrap (`bwrap`, the program under Flatpak) makes the sandbox, libseccomp the filter of system calls. Both are
small, old, watched by many and packaged by every distribution; own code for mounts and namespaces would be none of
that. What they cannot do is added here: Landlock and resource limits by the first lines that run inside
(sandbox_child.py), time, output and number of files by the process outside (sandbox_box.py). There is no second way for
machines without bubblewrap: one way is tested, and where it does not work `SandboxUnavailable` says what to install or
to allow, and nothing runs.

What holds a run, from the outside in:

- user, mount, pid, ipc, uts, cgroup and network namespaces: an empty network, no process to signal, no /proc, no
  /sys, a root of its own with the interpreter, its standard library and their libraries, read-only (sandbox_view.py);
  the scratch folder is the one place to write to, a tmpfs of bounded size;
- no capability and no way to gain one (no_new_privs), no environment variable and no descriptor of this process;
- seccomp: a list of the system calls that Python needs (sandbox_seccomp.py). No process and no thread can be made, so
  one address space limit bounds the memory, and nothing can outlive the run;
- Landlock, where the kernel has it (5.13 and later): the rules about files once more, in another part of the kernel,
  and no TCP, abstract socket or signal out (by its ABI). Without it the walls above stand alone; `check_sandbox` tells;
- resource limits, a wall clock, and SIGKILL to the whole pid namespace at the end, also when this process dies.

What does not hold: a hole in the kernel that the allowed calls reach; timing and cache side channels. The code can
learn the kernel's version, the size and load of the machine, and the time.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

from agents.sandbox_errors import SandboxFailed, SandboxRefused, SandboxUnavailable
from agents.sandbox_types import Isolation, Limits, Reason, SandboxResult
from decoder.base import run_sync

__all__ = [
    "Isolation",
    "Limits",
    "SandboxFailed",
    "SandboxRefused",
    "SandboxResult",
    "SandboxUnavailable",
    "acheck_sandbox",
    "arun_python",
    "check_sandbox",
    "run_python",
]

CODE_BYTES = 1 << 20
SIGNALLED = 128
PROBE = """
import os, socket
attempts = os.fork, socket.socket, lambda: open("/x", "w"), lambda: os.listdir("/proc"), lambda: os.setuid(0)
for attempt in attempts:
    try:
        attempt()
    except OSError:
        continue
    raise SystemExit(f"{attempt} was possible")
if not os.statvfs("/").f_flag & os.ST_RDONLY:
    raise SystemExit("the root folder can be written to")
open("works", "w").write("yes")
"""
REMEDY = (
    "Allow unprivileged user namespaces: sysctl user.max_user_namespaces above 0, on Debian also "
    "kernel.unprivileged_userns_clone=1, on Ubuntu an AppArmor profile for bwrap or "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits them."
)
_isolation: Isolation | None = None


async def arun_python(
    code: str, *, limits: Limits | None = None, files: Mapping[str, bytes] | None = None
) -> SandboxResult:
    """Run Python code in a sandbox.

    Args:
        code: the program, run as the module `__main__` in the scratch folder. The standard library is there, installed
            packages are not; processes, threads and the network are refused.
        limits: what it may use; `Limits()` unless told.
        files: content by relative path, put into the scratch folder first.

    Whatever the code does is a result. Raises SandboxUnavailable where this machine cannot isolate it (nothing was
    run), SandboxRefused for code or files that no run could take, SandboxFailed when a sandbox did not start or end.
    """
    from agents.sandbox_scratch import check_names

    limits, files = limits or Limits(), files or {}
    if len(code) > CODE_BYTES:
        raise SandboxRefused("running Python", f"the code has {len(code)} characters", f"At most {CODE_BYTES} are run.")
    check_names(files)
    await acheck_sandbox()
    return (await _run(code, limits, files))[0]


def run_python(code: str, *, limits: Limits | None = None, files: Mapping[str, bytes] | None = None) -> SandboxResult:
    """`arun_python` for code without an event loop."""
    return run_sync(arun_python(code, limits=limits, files=files))


async def acheck_sandbox() -> Isolation:
    """Probe once a process that code is isolated here, by running code that tries to get out.

    Raises SandboxUnavailable, with the remedy, where it is not.
    """
    global _isolation
    if _isolation is None:
        if sys.platform != "linux":
            raise SandboxUnavailable("probing the sandbox", f"{sys.platform} has no namespaces", "Run it on Linux.")
        version = await asyncio.to_thread(_prepare)
        try:
            result, landlock = await _run(PROBE, Limits(), {})
        except SandboxFailed as error:
            raise SandboxUnavailable("probing the sandbox", error.cause, REMEDY) from error
        if not result.ok or result.files != {"works": b"yes"}:
            raise SandboxUnavailable(
                "probing the sandbox", f"code is not held: {' '.join(result.text.split())}"[:300], REMEDY
            )
        _isolation = Isolation(version, landlock)
    return _isolation


def check_sandbox() -> Isolation:
    """`acheck_sandbox` for code without an event loop."""
    return run_sync(acheck_sandbox())


def _prepare() -> str:
    """Find out, once a process, what every sandbox is made of; the version of bubblewrap."""
    from agents.sandbox_command import bubblewrap
    from agents.sandbox_seccomp import filter_program
    from agents.sandbox_view import view

    path = bubblewrap()
    view()
    filter_program()
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, env={}, check=False)
    return done.stdout.strip().rpartition(" ")[2]


async def _run(code: str, limits: Limits, files: Mapping[str, bytes]) -> tuple[SandboxResult, int]:
    """The result of one run, and the Landlock ABI that held it."""
    from agents.sandbox_box import Box
    from agents.sandbox_scratch import put_files, take_files

    async with Box(limits) as box:
        put_files(box.scratch, files)
        started = time.monotonic()
        await box.begin(code)
        stopped = await box.watch()
        seconds = time.monotonic() - started
        await box.stop()
        taken, notices = take_files(box.scratch, fetch=limits.fetch, files=limits.files, known=files)
        reason = stopped or reason_of(box.status)
        result = SandboxResult(
            reason,
            None if stopped else box.status,
            _text(box.stdout, limits.output),
            _text(box.stderr, limits.output),
            taken,
            (*_explain(reason, limits), *notices),
            seconds,
        )
        return result, box.landlock


def reason_of(status: int | None) -> Reason:
    """Why a run ended that nobody stopped, by its exit status."""
    from agents.sandbox_child import MEMORY_STATUS

    if status == 0:
        return "ok"
    if status is None or status > SIGNALLED:
        return "timeout" if status == SIGNALLED + signal.SIGXCPU else "killed"
    return "memory" if status == MEMORY_STATUS else "error"


def _explain(reason: Reason, limits: Limits) -> tuple[str, ...]:
    if reason == "timeout":
        return (
            f"stopped: it ran longer than {limits.seconds:g} s, or used more than {limits.cpu_seconds} s of processor",
        )
    if reason == "memory":
        return (f"out of memory: {limits.memory} bytes of address space",)
    if reason == "output":
        return (f"stopped: it printed more than {limits.output} bytes, or made more than {limits.files} files",)
    return ("killed by a signal",) if reason == "killed" else ()


def _text(printed: bytes | bytearray, most: int) -> str:
    """Bytes as text, cut with a notice."""
    if len(printed) <= most:
        return printed.decode(errors="replace")
    return f"{printed[:most].decode(errors='replace')}\n[cut after {most} bytes]"
