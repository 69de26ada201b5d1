"""One sandbox: started by bubblewrap, spoken to over a socket that the code never sees, watched, and ended.

Every way out ends it: the code's end, a limit, a cancelled task, an error here; and the death of this process, at which
the kernel closes the socket and so kills the interpreter inside (sandbox_child.tether), whose end is that of the pid
namespace. Until the code was handed over, an interpreter that finds the socket closed exits by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.sandbox_command import command
from agents.sandbox_errors import SandboxFailed
from agents.sandbox_scratch import count_files
from agents.sandbox_seccomp import filter_program
from agents.sandbox_types import Limits, Reason

START_SECONDS = 30.0
END_SECONDS = 10.0
POLL_SECONDS = 0.05
CHUNK = 1 << 16
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts")
OWN_FILES = 2
"""The scratch folder itself, and what stands for /dev/null."""


class Box:
    """A running sandbox; `async with` starts and ends it.

    Attributes:
        scratch: descriptor of its scratch folder, good until the end of the `async with`.
        landlock: the Landlock ABI that holds it, 0 for none.
        stdout, stderr: what was printed so far, at most one chunk over the limit.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stdout, self.stderr = bytearray(), bytearray()
        self.scratch, self.landlock = -1, 0
        self._info = self._first = -1
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start it, up to the point where it waits for code. Raises SandboxFailed."""
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        try:
            with theirs:
                await self._spawn(theirs)
            async with asyncio.timeout(START_SECONDS):
                await self._handshake()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, TimeoutError):
                raise SandboxFailed("starting the sandbox", f"it was not ready after {START_SECONDS:g} s") from error
            raise
        return self

    async def _spawn(self, stdin: socket.socket) -> None:
        program = filter_program()
        filter_fd = os.memfd_create("filter", os.MFD_CLOEXEC)
        # No pipe: without a reader bubblewrap would die of telling, and its child wait for ever.
        self._info = os.memfd_create("info", os.MFD_CLOEXEC)
        try:
            os.pwrite(filter_fd, program, 0)
            spawning = asyncio.create_task(
                asyncio.create_subprocess_exec(
                    *command(self.limits, filter_fd, self._info),
                    stdin=stdin.fileno(),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(filter_fd, self._info),
                    env={},
                    start_new_session=True,
                )
            )
            # Cancelled, asyncio would kill bubblewrap alone, and not the process that it had just started.
            await asyncio.wait((spawning,))
            self._process = spawning.result()
        except asyncio.CancelledError:
            self._process = await spawning
            raise
        finally:
            os.close(filter_fd)
        for stream, kept in ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr)):
            if stream is not None:
                self._readers.append(asyncio.create_task(self._read(stream, kept)))

    async def _read(self, stream: asyncio.StreamReader, kept: bytearray) -> None:
        """Keep what is printed until there is too much; then stop reading, so that the writer blocks."""
        while len(kept) <= self.limits.output and (piece := await stream.read(CHUNK)):
            kept += piece

    async def _handshake(self) -> None:
        ended = asyncio.create_task(self._ended())
        ready = asyncio.create_task(_readable(self._channel.fileno()))
        try:
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            ready.cancel()
            await asyncio.wait((ended, ready))
        said, descriptors = b"", list[int]()
        with contextlib.suppress(BlockingIOError):
            said, descriptors, _, _ = socket.recv_fds(self._channel, 16, 1)
        # bubblewrap tells its first process before that starts what has just answered.
        first = self._find_first()
        if not said or not descriptors or first is None:
            self._kill()
            await asyncio.wait(self._readers, timeout=END_SECONDS)
            cause = " ".join(self.stderr.decode(errors="replace").split()) or "it ended at once"
            raise SandboxFailed("starting the sandbox", cause[-300:])
        self.scratch, self.landlock = descriptors[0], int(said)
        check_namespaces(first)

    def _find_first(self) -> int | None:
        """The first process of the sandbox's pid namespace, as bubblewrap told it; None when it did not, or is dead."""
        with contextlib.suppress(ProcessLookupError, ValueError):
            first = int(json.loads(os.pread(self._info, 4096, 0))["child-pid"])
            self._first = os.pidfd_open(first)
            return first
        return None

    async def begin(self, code: str) -> None:
        """Hand the code over; it starts to run."""
        text = code.encode("utf-8", "surrogatepass")
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await loop.sock_sendall(self._channel, len(text).to_bytes(8, "big") + text)

    async def watch(self) -> Reason | None:
        """Wait for the end of the code, or for the first limit that it meets; None when it ended by itself."""
        deadline = time.monotonic() + self.limits.seconds
        waiting: set[asyncio.Task[None]] = {*self._readers, asyncio.create_task(self._ended())}
        while waiting:
            left = deadline - time.monotonic()
            _, waiting = await asyncio.wait(
                waiting, timeout=max(0.0, min(POLL_SECONDS, left)), return_when=asyncio.FIRST_COMPLETED
            )
            if self._process is not None and self._process.returncode is not None:
                self._kill()  # what is left when somebody killed bubblewrap alone; it would hold the pipes open
            if max(len(self.stdout), len(self.stderr)) > self.limits.output:
                return "output"
            if count_files(self.scratch) > self.limits.files + OWN_FILES:
                return "output"
            if waiting and left <= 0:
                return "timeout"
        return None

    async def _ended(self) -> None:
        if self._process is not None:
            await self._process.wait()

    @property
    def status(self) -> int | None:
        """What the code exited with, 128 + N after signal N; None while it runs, or when bubblewrap was killed."""
        code = self._process.returncode if self._process is not None else None
        return None if code is None or code < 0 else code

    async def stop(self) -> None:
        """Kill what is left and wait until nothing of it is alive. Raises SandboxFailed when that takes too long."""
        self._kill()
        try:
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*self._readers)
                await self._discard()
                await self._ended()
                if self._first >= 0:
                    await _readable(self._first)
        except TimeoutError as error:
            raise SandboxFailed("ending the sandbox", f"it still lives {END_SECONDS:g} s after SIGKILL") from error

    def _kill(self) -> None:
        """SIGKILL to bubblewrap's process group, and to the first process of the pid namespace, which takes all."""
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._first < 0 and self._info >= 0:
            self._find_first()
        with contextlib.suppress(ProcessLookupError):
            if self._first >= 0:
                signal.pidfd_send_signal(self._first, signal.SIGKILL)

    async def _discard(self) -> None:
        """Read on where the readers stopped, so that the pipes close."""
        streams = (self._process.stdout, self._process.stderr) if self._process is not None else ()
        for stream in streams:
            while stream and await stream.read(CHUNK):
                pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever state it is in, and give back every descriptor."""
        try:
            await self.stop()
        finally:
            self._channel.close()
            for descriptor in (self.scratch, self._info, self._first):
                if descriptor >= 0:
                    os.close(descriptor)
            self.scratch = self._info = self._first = -1


def check_namespaces(process: int) -> None:
    """Look from outside, before any code runs: the process shares no namespace with this one. Raises SandboxFailed."""
    try:
        shared = [kind for kind in NAMESPACES if _namespace("self", kind) == _namespace(process, kind)]
    except OSError as error:
        raise SandboxFailed("checking the sandbox", f"its namespaces cannot be seen ({error.strerror})") from error
    if shared:
        raise SandboxFailed("checking the sandbox", f"it shares the {', '.join(shared)} namespace of this process")


def _namespace(process: int | str, kind: str) -> str:
    return str(Path(f"/proc/{process}/ns/{kind}").readlink())


async def _readable(descriptor: int) -> None:
    """Wait until a read of the descriptor would not block; of a pidfd: until its process is dead."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
