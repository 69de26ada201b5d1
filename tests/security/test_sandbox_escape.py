"""Code that tries to get out of the sandbox, written after published escapes from others: none touches the machine.

Every attempt runs in a sandbox of its own. After it, the machine is looked at (conftest.World): files, modes, mounts,
limits, listeners, a process that could be killed, secrets in what was printed and fetched, and processes left behind.
The attempts of `escapes/seen_outside.txt` run without the sandbox too, and must then be seen: so the watching works,
and the attempt would have worked.
"""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sandbox import Limits, run_python

MEMORY = 256 * 2**20 + (os.getpid() % 60000) * 4096  # a number that marks this test run's sandboxes
LIMITS = Limits(seconds=1.0, cpu_seconds=3, memory=MEMORY, scratch=8 * 2**20, files=200, fetch=2**20)
PATIENT = replace(LIMITS, seconds=20.0, cpu_seconds=20)
HONEST = ("PermissionError", "FileNotFoundError", "NotADirectoryError", "OSError", "BlockingIOError", "MemoryError",
          "RuntimeError: can't start new thread", "socket.gaierror", "urllib.error.URLError", "ValueError: not allowed",
          "ModuleNotFoundError", "EOFError", "KeyError: 'HEARTH_CANARY'", "ProcessLookupError", "RecursionError",
          "ChildProcessError", "ImportError")  # fmt: skip
"""How a failed attempt may end: refused by what it asked, not by a mistake of its own."""


def attempts(file):
    """Code by name: what follows a line "### name"."""
    parts = re.split(r"^### (.+)\n", (Path(__file__).parent / "escapes" / file).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


CONTROL = attempts("seen_outside.txt")
ATTEMPTS = attempts("files.txt") | attempts("processes.txt")
REASONS = {  # what bombs and stubborn code end with
    "deaf to every signal": "timeout", "deaf and asleep": "timeout", "stop itself": "timeout",
    "live on at exit": "timeout",
    "asleep without output": "timeout", "live on in a destructor": "timeout", "stubborn memory bomb": "timeout",
    "stubborn fork bomb": "timeout", "a number without end": "timeout", "an expression without end": "timeout",
    "memory bomb": "memory", "a zip bomb": "memory", "flood": "output", "flood of errors": "output",
    "flood in one write": "output", "many files": "output", "a dump of memory": "killed",
    "fill the scratch folder": "error", "thread bomb": "error", "fork bomb": "error", "kill everything": "error",
}  # fmt: skip


def check(world, processes_of, code, limits):
    result = run_python(world.prelude() + code, limits=limits)
    fetched = [data.decode(errors="replace") for data in result.files.values()]
    assert world.effects(result.stdout, result.stderr, *fetched) == []
    assert processes_of(MEMORY) == []
    assert len(result.stdout) + len(result.stderr) < 2 * LIMITS.output + 200
    assert sum(map(len, fetched)) <= LIMITS.fetch
    assert result.seconds < limits.seconds + 5
    return result


def refused_honestly(result):
    """The attempt was stopped, and not by a mistake in it."""
    last = result.stderr.strip().rpartition("\n")[2]
    return result.reason != "error" or last.startswith(HONEST)


@pytest.mark.parametrize("name", CONTROL)
def test_code_does_not_get_out(name, world, sandbox, processes_of):
    result = check(world, processes_of, CONTROL[name], PATIENT)
    assert result.reason in ("ok", "error")
    assert refused_honestly(result), result.stderr


@pytest.mark.parametrize("name", ATTEMPTS)
def test_code_does_no_harm(name, world, sandbox, processes_of):
    limits = LIMITS if REASONS.get(name) == "timeout" else PATIENT
    result = check(world, processes_of, ATTEMPTS[name], limits)
    assert refused_honestly(result), result.stderr
    assert result.reason == REASONS.get(name, result.reason)


@pytest.mark.parametrize("name", CONTROL)
def test_without_the_sandbox_the_same_code_is_seen(name, make_world, tmp_path):
    if name == "proc memory of another" and os.geteuid():
        pytest.skip("a kernel with Yama lets root alone open another process's memory")
    world = make_world()
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", world.prelude() + CONTROL[name]],
        cwd=tmp_path / "work", pass_fds=(world.fd,), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert world.effects(done.stdout, done.stderr) != [], done.stderr
