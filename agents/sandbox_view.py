"""What a sandboxed interpreter can see of the machine: itself, its standard library, the libraries that both load.

Everything is bound read-only and one by one under names of the sandbox's own (/python, /lib), so that neither the path
of a home folder nor a file beside the interpreter is visible. Installed packages are hidden. Which libraries are loaded
is asked of `ldd` once a process: it knows run paths, Nix stores and musl, a list of folders would not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from agents.sandbox_errors import SandboxUnavailable

PYTHON = "/python/bin/python"
SCRATCH = "/scratch"
NULL = ".null"
START = "/start.py"
ZONES = "/usr/share/zoneinfo"
UNUSABLE = ("_tkinter", "_curses", "_curses_panel", "readline", "nis", "ossaudiodev")
"""Extension modules for a screen, a terminal or a network: what they load is left out."""
LDD_SECONDS = 30.0


def parse_ldd(text: str) -> dict[str, str]:
    """Where each library, and the loader itself, is found: destination in the sandbox to path on this machine."""
    named = re.findall(r"^\s+(\S+) => (/.+?) \(0x[0-9a-f]+\)$", text, re.MULTILINE)
    loaders = re.findall(r"^\s+(/\S+)(?: => (/.+?))? \(0x[0-9a-f]+\)$", text, re.MULTILINE)
    found = {f"/lib/{name}": path for name, path in named if "/" not in name}
    return found | {loader: target or loader for loader, target in loaders}


def _libraries(binaries: list[str]) -> dict[str, str]:
    try:
        done = subprocess.run(
            ["ldd", *binaries],
            capture_output=True,
            text=True,
            timeout=LDD_SECONDS,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            "preparing the sandbox", f"ldd could not list Python's libraries ({error})", "Install ldd (libc-bin)."
        ) from error
    return parse_ldd(done.stdout)


def _binds() -> dict[str, str]:
    """Destination to source of everything that is bound."""
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    library = os.path.realpath(Path(os.__file__).parent)
    extensions = [
        str(path)
        for path in sorted(Path(library, "lib-dynload").glob("*.so"))
        if path.name.partition(".")[0] not in UNUSABLE
    ]
    return {
        PYTHON: executable,
        f"/python/{sys.platlibdir}/{Path(library).name}": library,
        START: str(Path(__file__).with_name("sandbox_child.py")),
        **_libraries([executable, *extensions]),
    }


@lru_cache(maxsize=1)
def view() -> tuple[str, ...]:
    """The arguments to bubblewrap that make the sandbox's root, without the scratch folder.

    Raises SandboxUnavailable when the interpreter's libraries cannot be found out.
    """
    arguments: list[str] = []
    for destination, source in _binds().items():
        arguments += ["--ro-bind", source, destination]
        packages = "site-packages"
        if Path(source, packages).is_dir():
            arguments += ["--tmpfs", f"{destination}/{packages}", "--remount-ro", f"{destination}/{packages}"]
    # The machine's own /dev/null can only be bound writable, and where root runs this, code could change its mode. So
    # it is a file among the code's files.
    return (*arguments, "--ro-bind-try", ZONES, ZONES, "--symlink", f"{SCRATCH}/{NULL}", "/dev/null")
