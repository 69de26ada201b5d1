"""A server as it is now: what its state file says, held against its processes and its own answers."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from decoder import server_state
from decoder.errors import DecoderError
from decoder.server_errors import NoSuchServer
from decoder.server_http import model_names, request
from decoder.server_options import check_name
from decoder.server_state import ServerState, group_exists

Condition: TypeAlias = Literal[
    "starting", "healthy", "unresponsive", "restarting", "failed", "unsupervised", "stale", "stopped"
]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server as it is now.

    Attributes:
        condition: what is written down, checked against the processes and `/health`. "unsupervised": it runs, but
            nothing will start it again; "stale": nothing runs any more, though nobody stopped it.
        pid: of the vLLM process; 0 when none runs.
        uptime: seconds since it was first started; 0 when none runs.
        models: the base model's name and the adapters', as the server lists them; empty when it does not answer.
        error: why it failed or was last started again; empty when neither happened.
    """

    name: str
    condition: Condition
    model: str
    base_url: str
    pid: int
    port: int
    uptime: float
    restarts: int
    models: tuple[str, ...]
    log: Path
    error: str = ""


def status(name: str, timeout: float = 2.0) -> ServerStatus:
    """A server as it is now, alive or not. Raises NoSuchServer when nothing is known of it."""
    state = server_state.read(check_name(name))
    if state is None:
        raise NoSuchServer("looking for the server", f"there is no server {name}", "See `hearth serve --status`")
    runs = group_exists(state.server)
    models: tuple[str, ...] = ()
    if runs and state.phase == "healthy":
        models = _models(state, timeout)
    error = " ".join(part for part in state.error[1:] if part) if state.error else ""
    return ServerStatus(
        name=state.name,
        condition=_condition(state, runs, bool(models)),
        model=state.model,
        base_url=state.base_url,
        pid=state.server.pid if runs else 0,
        port=state.port,
        uptime=time.time() - state.started_at if runs else 0.0,
        restarts=state.restarts,
        models=models,
        log=Path(state.log),
        error=error,
    )


def servers() -> list[ServerStatus]:
    """Every server that something is known of, by name."""
    found = []
    for name in server_state.names():
        with contextlib.suppress(NoSuchServer):  # stopped since the names were listed
            found.append(status(name))
    return found


def _condition(state: ServerState, runs: bool, answers: bool) -> Condition:
    if state.phase in ("failed", "stopped"):
        return state.phase
    if state.supervisor.alive or not state.supervisor.pid:
        return state.phase if state.phase != "healthy" or answers else "unresponsive"
    return "unsupervised" if runs else "stale"


def _models(state: ServerState, timeout: float) -> tuple[str, ...]:
    try:
        if request(state.base_url, "/health", timeout=timeout)[0] != 200:
            return ()
        return tuple(model_names(state.base_url, api_key=state.api_key, timeout=timeout))
    except DecoderError:
        return ()
