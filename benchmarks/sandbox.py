"""What isolation costs: `python -m benchmarks.sandbox`. Exit code 1 when it is more than the limit.

Wall-clock time of one short program, by ways that take turns, after one unmeasured round: plain `python -c`, which also
looks for installed packages; the same without; the same inside bubblewrap's namespaces and mounts alone; and
`run_python` with all its walls. The limit holds against the quicker of the plain two. The listing of libraries and the
probe, once a process, are measured apart.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from agents.sandbox import Limits, check_sandbox, run_python
from agents.sandbox_command import bubblewrap, command
from agents.sandbox_view import START

CODE = "print(6 * 7)"
PLAIN = "python -I -S -B -c"
RUNS = 31
LIMIT = 200
"""Milliseconds beyond plain Python, without the search for installed packages."""


def run(arguments: list[str]) -> None:
    """Run a program that must succeed."""
    subprocess.run(arguments, stdout=subprocess.DEVNULL, env={"PATH": os.defpath}, check=True, timeout=60)


def namespaces_alone() -> list[str]:
    """The sandbox's command line without the filter, and with plain Python in it."""
    words = command(Limits(), 0, 0)
    words = words[: len(words) - 1 - words[::-1].index(START)]
    for option in ("--info-fd", "--seccomp"):
        at = words.index(option)
        words = words[:at] + words[at + 2 :]
    return [*words, "-c", CODE]


def sandboxed() -> None:
    """The whole of it."""
    assert run_python(CODE).stdout == "42\n"


def main() -> int:
    """Print medians and their difference to plain Python; 1 when the limit is broken."""
    started = time.perf_counter()
    isolation = check_sandbox()
    probe = time.perf_counter() - started
    inside = namespaces_alone()
    ways: dict[str, Callable[[], None]] = {
        "python -c": lambda: run([sys.executable, "-c", CODE]),
        PLAIN: lambda: run([sys.executable, "-I", "-S", "-B", "-c", CODE]),
        "bwrap python -I -S -B -c": lambda: run(inside),
        "run_python": sandboxed,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            times[name].append(1000 * (time.perf_counter() - begun))
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}
    plain = medians[PLAIN]
    print(f"{bubblewrap()} {isolation.bubblewrap}, Landlock ABI {isolation.landlock}; medians of {RUNS} runs, ms")
    for name, median in medians.items():
        print(f"{name:<28}{median:7.1f}   {median - plain:+7.1f} to plain, ratio {median / plain:.2f}")
    print(f"{'first use: list and probe':<28}{1000 * probe:7.1f}   once a process")
    overhead = medians["run_python"] - plain
    print(f"overhead {overhead:.1f} ms over {PLAIN}, limit {LIMIT}")
    return int(overhead > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
