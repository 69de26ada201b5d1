"""Listening: where, for whom, and until when. Runs uvicorn; knows nothing of what is answered."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from decoder.errors import ServiceError, UsageError
from ui.api.keys import VARIABLE, Keys
from ui.loopback import is_loopback

STEP = "serving the API"
GRACE_SECONDS = 10
"""For answers that are under way when the server is asked to stop."""
HEADER_BYTES = 32 << 10


def check_exposure(host: str, keys: Keys, origins: tuple[str, ...]) -> None:
    """Raises UsageError where a server without keys could be asked by others than this machine's users."""
    if keys:
        return
    if not is_loopback(host):
        remedy = f"Set {VARIABLE} or give --keys FILE"
        raise UsageError(STEP, f"{host} can be reached from other machines, and there are no keys", remedy)
    if "*" in origins:
        raise UsageError(STEP, "without keys every web page could read the documents", "Name the origins, or give keys")


class Server(uvicorn.Server):
    """uvicorn, which says when it listens.

    Args:
        on_ready: called with the base URL.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")


def new_server(app: Any, host: str, port: int, on_ready: Callable[[str], None], grace: int = GRACE_SECONDS) -> Server:
    """A server that is not running yet: `run()` it. Nothing of a request but its path is ever logged."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    return Server(config, on_ready)


def run(app: Any, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises UsageError when the port is taken, ServiceError when it does not start."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            port = port or probe.getsockname()[1]
    except OSError as error:
        raise UsageError(STEP, f"{host}:{port} cannot be used: {error.strerror}", "Give another --port") from error
    server = new_server(app, host, port, on_ready)
    try:
        server.run()
    except SystemExit as error:
        raise ServiceError(STEP, "the server did not start", "Run it with --debug") from error
    if not server.started:
        raise ServiceError(STEP, "the server did not start", "Its log says why")
