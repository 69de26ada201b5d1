"""A connection to Ray: one started on this machine for the run, or a cluster's. Quiet, and without usage statistics."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from decoder.errors import MissingExtra, SettingsError
from rag.errors import EngineFailed
from rag.settings import RagSettings

if TYPE_CHECKING:
    from types import ModuleType

STEP = "connecting to Ray"
ANSWER_SECONDS = 10.0
LEAST_CPUS = 2
"""One for a worker that reads, one for a worker that embeds."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


@contextmanager
def session(settings: RagSettings) -> Iterator[ModuleType]:
    """Ray, connected; a connection that was there before is used and left as it is.

    Raises:
        MissingExtra: Ray is not installed.
        SettingsError: the address is none.
        EngineFailed: no cluster answers at the address, or Ray does not start here.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    ray = _imported()
    if ray.is_initialized():
        yield ray
        return
    options = _options(settings)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise EngineFailed(STEP, cause, "See whether the versions of Ray and Python are the cluster's") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _imported() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray Data warns of its own defaults
            import ray
            import ray.data

            ray.data.DataContext.get_current().enable_progress_bars = False
    except ImportError as error:
        raise MissingExtra("indexing with Ray", "ray", "ray") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it would say is raised
    return ray


def _options(settings: RagSettings) -> dict[str, Any]:
    address = settings.ray_address.strip()
    if address == "local":
        cpus = max(LEAST_CPUS, settings.ray_cpus or os.cpu_count() or 1)
        return {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    if address != "auto":
        _reach(address)
    return {"address": address}


def _reach(address: str) -> None:
    """Ray itself tries for minutes, and can end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        remedy = 'Give host:port of its head node, ray://host:port of its client server, "auto" or "local"'
        raise SettingsError(STEP, f"{address!r} is no address of a Ray cluster", remedy)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS):
            return
    except OSError as error:
        remedy = f"Start one there (ray start --head --port {port}), or leave out the address to use this machine"
        raise EngineFailed(STEP, f"no cluster answers at {address} ({error.strerror or error})", remedy) from error
