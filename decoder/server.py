"""A vLLM process: start, wait until healthy, load and unload adapters, attach, look at it, stop it.

    with serve("models/my-model", ServeOptions(lora=True)) as server:
        ServedDecoder(server.base_url, server.model)

The process is watched by a small supervisor (`supervisor.py`); this module talks to it through the state file
(`server_state.py`) and signals. vllm is never imported: it runs in an environment of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from decoder import adapters, server_state, tiny
from decoder.errors import DecoderError, UsageError
from decoder.server_errors import NoSuchServer, ServerExists, ServerStartFailed
from decoder.server_launch import (
    SUPERVISOR_SECONDS,
    OnProgress,
    Progress,
    failure,
    first_state,
    last_line,
    refuse_if_running,
    spawn,
    until_healthy,
)
from decoder.server_options import STEP, ServeOptions, check_name, default_name, is_local
from decoder.server_state import ServerState, end_group
from decoder.server_status import ServerStatus, servers, status

KILL_SECONDS = 15.0  # beyond `stop_grace`, for the supervisor to kill what is left


class RunningServer:
    """A server that was started or found. As a context manager it is stopped on leaving.

    Attributes:
        name, model: what the server and its base model are called (the same).
        base_url: with its `/v1`; api_key: "" where none is asked for.
        log: where the process writes.
    """

    def __init__(self, state: ServerState, supervisor: subprocess.Popen[bytes] | None = None) -> None:
        self.name = self.model = state.name
        self.base_url, self.api_key, self.port, self.log = state.base_url, state.api_key, state.port, Path(state.log)
        self._supervisor = supervisor

    def __repr__(self) -> str:
        return f"RunningServer(name={self.name!r}, base_url={self.base_url!r})"

    def status(self) -> ServerStatus:
        """The server as it is now. Raises NoSuchServer when it was stopped and forgotten."""
        return status(self.name)

    def load_adapter(self, adapter: str, folder: str | Path) -> Path:
        """Serve the LoRA adapter in `folder` as model name `adapter`. Returns the copy that is served.

        Raises:
            AdapterUnusable: the folder does not hold a LoRA adapter in safetensors.
            AdapterFailed: the server refused.
            ConnectFailed: it does not answer.
        """
        copy = adapters.snapshot(self.name, adapter, Path(folder).expanduser().resolve())
        adapters.load(self.base_url, adapter, str(copy), api_key=self.api_key)
        adapters.remember(self.name, adapter, copy)
        return copy

    def unload_adapter(self, adapter: str) -> None:
        """Serve the adapter no longer. Raises UnknownModel, AdapterFailed or ConnectFailed."""
        adapters.unload(self.base_url, adapter, api_key=self.api_key)
        adapters.remember(self.name, adapter, None)

    def wait(self, on_progress: OnProgress | None = None, timeout: float | None = None) -> bool:
        """Wait in the foreground until the server ends; True when it was stopped, False after `timeout` seconds.

        Raises:
            ServerStartFailed: it died and its restarts are used up.
        """
        began = time.monotonic()
        said = ""
        while timeout is None or time.monotonic() - began < timeout:
            state = server_state.read(self.name)
            if state is None:
                return True
            if state.phase == "failed" or not state.supervisor.alive:
                raise failure(state)
            if on_progress is not None and state.phase != said:
                said = state.phase
                on_progress(Progress(time.time() - state.started_at, state.phase, last_line(state)))
            time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Stop it, with everything it started. Idempotent. Raises ServiceError when it does not end."""
        with contextlib.suppress(NoSuchServer):
            stop(self.name)
        if self._supervisor is not None:
            if self._supervisor.stdin is not None:
                self._supervisor.stdin.close()
            self._supervisor.wait(timeout=KILL_SECONDS)
            self._supervisor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    model: str,
    options: ServeOptions | None = None,
    on_progress: OnProgress | None = None,
    *,
    detach: bool = False,
) -> RunningServer:
    """Start vLLM on a model and return when it is healthy and enforces constraints.

    Args:
        model: a folder with safetensors weights, "hearth-tiny", or a name on a model hub.
        on_progress: called about twice a second until the server is healthy.
        detach: leave it running when this process ends; otherwise it is stopped then, however this one ends.

    Raises:
        UsageError: an option cannot be used, or the port is taken; VllmMissing, ServerExists.
        ServerStartFailed: it died or was not healthy in time; the cause names what its log says.
        ConstraintIgnored: it answers constrained requests with free text.
    """
    model = str(tiny.resolve(model))
    chosen = options or ServeOptions()
    name = check_name(chosen.name) if chosen.name else default_name(model)
    if not is_local(model) and (model.startswith((".", "/", "~")) or model.count("/") > 1):
        raise UsageError(STEP, f"there is no folder {model}", "Give a model's folder, or its name on a hub")
    with _exclusive(name):
        refuse_if_running(name)
        state = first_state(name, model, chosen)
        server_state.write(state)
        supervisor = spawn(name, detach, Path(state.log))
        server = RunningServer(state, None if detach else supervisor)
        try:
            if detach and supervisor.wait(timeout=SUPERVISOR_SECONDS):
                raise ServerStartFailed(STEP, "its supervisor could not be started", f"See {state.log}")
            until_healthy(state, on_progress)
        except BaseException as error:
            _abandon(server, error)
            raise
    return server


def attach(name: str = "") -> RunningServer:
    """A server that runs already; without a name, the only one.

    Raises:
        NoSuchServer: none runs, or without a name several do.
    """
    running = [entry for entry in servers() if entry.pid and name in ("", entry.name)]
    if len(running) != 1:
        several = ", ".join(entry.name for entry in running)
        cause = f"several run: {several}" if running else f"no server{' ' + name if name else ''} runs"
        raise NoSuchServer("attaching to a server", cause, "Name one" if running else "Start it with `hearth serve`")
    state = server_state.read(running[0].name)
    if state is None:
        raise NoSuchServer("attaching to a server", f"{running[0].name} has just stopped", "Start it again")
    return RunningServer(state)


def stop(name: str) -> None:
    """Stop a server with everything it started, and forget it.

    Raises:
        NoSuchServer: nothing is known of it.
        ServiceError: its processes do not end.
    """
    state = server_state.read(check_name(name))
    if state is None:
        raise NoSuchServer("stopping the server", f"there is no server {name}", "See `hearth serve --status`")
    if state.supervisor.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.supervisor.pid, signal.SIGTERM)
        _wait_for_end(state)
    # What follows finds something to do only when the supervisor was killed, or failed to do so itself.
    latest = server_state.read(name) or state
    if latest.supervisor.alive and latest.supervisor == state.supervisor:
        with contextlib.suppress(ProcessLookupError):
            os.kill(latest.supervisor.pid, signal.SIGKILL)
    end_group(latest.server, 10.0)
    server_state.state_file(name).unlink(missing_ok=True)
    adapters.forget_all(name)


def _wait_for_end(state: ServerState) -> None:
    deadline = time.monotonic() + float(state.options.get("stop_grace", 0.0)) + KILL_SECONDS
    while time.monotonic() < deadline and state.supervisor.alive:
        time.sleep(0.05)


def _abandon(server: RunningServer, error: BaseException) -> None:
    """Stop what was started. After a failure its state stays, so that `status` can tell why."""
    state = server_state.read(server.name)
    server.stop()
    if state is not None and isinstance(error, DecoderError):
        kept = state.error or ("ServerStartFailed", error.cause, error.remedy)
        server_state.write(dataclasses.replace(state, phase="failed", error=kept))


@contextlib.contextmanager
def _exclusive(name: str) -> Iterator[None]:
    """One start of this name at a time. Raises ServerExists when another process is starting it."""
    with (server_state.folder() / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait for it, then use `hearth serve --status`"
            raise ServerExists(STEP, f"another process is starting {name}", remedy) from error
        yield


__all__ = [
    "Progress",
    "RunningServer",
    "ServeOptions",
    "ServerStatus",
    "attach",
    "serve",
    "servers",
    "status",
    "stop",
]
