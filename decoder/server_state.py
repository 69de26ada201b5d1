"""What is known of a started server, in one JSON file each, and whether it is still so.

`home()/servers/<name>.json` is replaced atomically and is readable by its owner alone. A process is named by its
id and its start time together, because ids are used again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from decoder.errors import ServiceError
from decoder.settings import home

Phase: TypeAlias = Literal["starting", "healthy", "restarting", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or 0 for none. `started` tells it from a later one with the same id."""

    pid: int = 0
    started: str = ""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return self.pid > 0 and start_time(self.pid) == self.started != ""


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server as its supervisor last wrote it.

    Attributes:
        started_at: when it was first started, seconds since the epoch.
        supervisor: the process that watches and restarts it.
        server: the vLLM process; it leads its own process group.
        restarts: how often it was started again.
        error: the type, cause and remedy of what ended it, when it failed.
    """

    name: str
    model: str
    host: str
    port: int
    log: str
    started_at: float
    python: str = ""
    phase: Phase = "starting"
    supervisor: Process = field(default_factory=Process)
    server: Process = field(default_factory=Process)
    options: Mapping[str, Any] = field(default_factory=dict)
    restarts: int = 0
    error: tuple[str, str, str] | None = None
    api_key: str = field(default="", repr=False)

    @property
    def base_url(self) -> str:
        """Where the server listens, with the `/v1`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # not bound, but read
        return f"http://[{host}]:{self.port}/v1" if ":" in host else f"http://{host}:{self.port}/v1"


def folder() -> Path:
    """Where state files, logs and copies of adapters are; made on first use, for the owner alone."""
    path = home() / "servers"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def state_file(name: str) -> Path:
    """The state file of a server; `name` was checked by `check_name`."""
    return folder() / f"{name}.json"


def write(state: ServerState) -> None:
    """Replace the state file atomically, readable by the owner alone (it may hold a key)."""
    path = state_file(state.name)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(state), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read(name: str) -> ServerState | None:
    """What is known of the server; None when there is no file. Raises ServiceError when it is damaged."""
    path = state_file(name)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data["supervisor"], data["server"] = Process(**data["supervisor"]), Process(**data["server"])
        data["error"] = tuple(data["error"]) if data["error"] else None
        return ServerState(**data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ServiceError("reading a server's state", f"{path} is damaged: {error}", "Remove the file") from error


def names() -> list[str]:
    """Names of all servers that have a state file."""
    return sorted(path.stem for path in folder().glob("*.json") if not path.name.startswith("."))


def start_time(pid: int) -> str:
    """When a process started, as text that is only good for comparison; empty when it does not run."""
    try:
        # The name in parentheses may hold spaces and parentheses, so count fields from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return "" if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        if Path("/proc/self/stat").exists():
            return ""
    asked = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10)
    stat, _, started = asked.stdout.strip().partition(" ")
    return "" if not stat or stat.startswith("Z") else started.strip()


def this_process() -> Process:
    """The running process."""
    return Process(os.getpid(), start_time(os.getpid()))


def group_exists(server: Process) -> bool:
    """Whether any process of the server's group still runs, even when its leader is gone.

    While a group lives its id is not given to a new process, so a group without a leader is still ours. Zombies do
    not count: orphaned ones are for process 1 to reap, which in some containers never does.
    """
    if server.pid <= 1:
        return False
    leader = start_time(server.pid)
    if leader:
        return leader == server.started
    if Path("/proc/self/stat").exists():
        return any(_in_group(entry.name, server.pid) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    try:
        os.killpg(server.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_group(server: Process, grace: float) -> None:
    """SIGTERM to the whole group, wait up to `grace` seconds, then SIGKILL and wait up to 10 more.

    Raises:
        ServiceError: processes are left even so.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if not group_exists(server):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and group_exists(server):
            time.sleep(0.05)
    if group_exists(server):
        raise ServiceError("stopping the server", f"processes of group {server.pid} do not end", "Look at `ps -e`")


def _in_group(pid: str, group: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return fields[0] not in "ZX" and fields[2] == str(group)


def log_tail(path: Path, size: int = 65536) -> list[str]:
    """The last lines of a log, at most `size` bytes, without vLLM's process and time prefixes."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    prefix = re.compile(r"^\([\w ]+pid=\d+\) ?|^(INFO|WARNING|ERROR) [\d-]+ [\d:]+ (\[[^\]]*\] )?")
    lines = (prefix.sub("", prefix.sub("", line)).rstrip() for line in text.splitlines())
    return [line for line in lines if line]
