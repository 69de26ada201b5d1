"""The start of a server: what it is started with, its supervisor's process, and the wait until it is healthy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from decoder import adapters, server_state
from decoder.errors import ConstraintIgnored, DecoderError, UsageError
from decoder.server_errors import ServerExists, ServerStartFailed
from decoder.server_options import STEP, ServeOptions, api_key, find_python, is_local, start_timeout
from decoder.server_state import ServerState, group_exists, log_tail
from decoder.settings import settings_file

# Interpreters on a fresh machine compile every module first, so this is more than the supervisor usually needs.
SUPERVISOR_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a start has got to: seconds since it began, the phase, and the last line of the log."""

    seconds: float
    phase: str
    line: str


OnProgress: TypeAlias = Callable[[Progress], None]


def refuse_if_running(name: str) -> None:
    """Clear away what is left of a server that is gone. Raises ServerExists when it is not."""
    state = server_state.read(name)
    if state is None:
        return
    if state.supervisor.alive or group_exists(state.server):
        cause = f"{name} runs already at {state.base_url}"
        raise ServerExists(STEP, cause, f"Use it, stop it (`hearth serve {name} --stop`), or give another name")
    server_state.state_file(name).unlink(missing_ok=True)


def first_state(name: str, model: str, options: ServeOptions) -> ServerState:
    """What the supervisor is to start, with a free port and an empty log. Raises VllmMissing, UsageError."""
    local = str(Path(model).expanduser().resolve()) if is_local(model) else model
    log = server_state.folder() / f"{name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    adapters.forget_all(name)
    return ServerState(
        name=name,
        model=local,
        host=options.host,
        port=_port(options),
        log=str(log),
        started_at=time.time(),
        python=str(find_python()),
        options=options.to_json(),
        api_key=api_key(options),
    )


def _port(options: ServeOptions) -> int:
    """The port asked for, or a free one. Raises UsageError when it is taken."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            where = f"{options.host}:{options.port}"
            raise UsageError(STEP, f"{where} cannot be listened at: {error.strerror}", "Choose another port") from error
        return int(probe.getsockname()[1])


def spawn(name: str, detach: bool, log: Path) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, so that Ctrl-C reaches this process alone."""
    # Found from anywhere, even where this package is only on the path because of the working directory.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment["HEARTH_HOME"] = str(server_state.folder().parent.resolve())
    if found := _settings():
        environment["HEARTH_SETTINGS"] = found
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "decoder.supervisor", name, "detach" if detach else "tied"],
            cwd=server_state.folder(),
            env=environment,
            stdin=subprocess.DEVNULL if detach else subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _settings() -> str:
    path = settings_file()
    return str(path.resolve()) if path else ""


def until_healthy(state: ServerState, on_progress: OnProgress | None) -> None:
    """Wait for the supervisor to write that the server is healthy. Raises ServerStartFailed, ConstraintIgnored."""
    began = time.monotonic()
    # The supervisor gives up first, with a better reason; this is for one that hangs.
    limit = start_timeout(ServeOptions.from_json(state.options)) + SUPERVISOR_SECONDS
    while time.monotonic() - began < limit:
        now = server_state.read(state.name)
        if now is None:
            raise ServerStartFailed(STEP, "it was stopped while it started", "Start it again")
        if now.phase == "healthy":
            return
        lost = not now.supervisor.alive and (now.supervisor.pid or time.monotonic() - began > SUPERVISOR_SECONDS)
        if now.phase == "failed" or lost:
            raise failure(server_state.read(state.name) or now)
        if on_progress is not None:
            on_progress(Progress(time.monotonic() - began, now.phase, last_line(now)))
        time.sleep(0.1 if time.monotonic() - began < 2 else 0.5)
    raise ServerStartFailed(STEP, f"it was not healthy within {limit:g} s", f"See {state.log}")


def failure(state: ServerState) -> DecoderError:
    """The error that the supervisor wrote down, as it would have been raised here."""
    if state.error is None:
        return ServerStartFailed(STEP, "its supervisor died", f"See {state.log}")
    kind, cause, remedy = state.error
    if kind == "ConstraintIgnored":
        return ConstraintIgnored(STEP, cause, remedy)
    return ServerStartFailed(STEP, cause, remedy)


def last_line(state: ServerState) -> str:
    """The last line that the server logged; empty when there is none."""
    lines = log_tail(Path(state.log), 4096)
    return lines[-1][:200] if lines else ""
