"""The command line that makes a sandbox: what it may see and what it may use, in bubblewrap's words."""

from __future__ import annotations

import shutil

from agents.sandbox_errors import SandboxUnavailable
from agents.sandbox_types import Limits
from agents.sandbox_view import PYTHON, SCRATCH, START, view


def bubblewrap() -> str:
    """The path of `bwrap`. Raises SandboxUnavailable where it is not installed."""
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable(
            "starting the sandbox",
            "bubblewrap is not installed",
            "apt-get install bubblewrap, or your system's package.",
        )
    return found


def command(limits: Limits, filter_fd: int, info_fd: int) -> list[str]:
    """The command line of a sandbox: what it may see, then what it may use."""
    return [
        bubblewrap(),
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL"),
        *("--info-fd", str(info_fd), "--seccomp", str(filter_fd)),
        *view(),
        *("--size", str(limits.scratch), "--tmpfs", SCRATCH, "--chdir", SCRATCH, "--remount-ro", "/"),
        *(
            "--clearenv",
            "--setenv",
            "HOME",
            SCRATCH,
            "--setenv",
            "TMPDIR",
            SCRATCH,
            "--setenv",
            "LD_LIBRARY_PATH",
            "/lib",
        ),
        *(PYTHON, "-I", "-S", "-B", "-X", "utf8", START),
        *(str(n) for n in (limits.memory, limits.cpu_seconds, limits.scratch, limits.open_files)),
    ]
