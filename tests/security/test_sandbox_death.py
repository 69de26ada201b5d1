"""The process that started a sandbox dies without a word; so does the sandbox."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

MEMORY = 256 * 2**20 + (os.getpid() % 60000) * 4096 + 4096 * 140000
SLEEPS = "import time\\ntime.sleep(600)"
STUBBORN = """
import fcntl, os, signal, time
for fd in range(64):
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
        os.close(fd)
    except OSError:
        pass
signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 65))
while True:
    time.sleep(600)
"""
BEGUN = f"""
import os, signal
from agents import sandbox_box
from agents.sandbox import Limits, check_sandbox, run_python

async def die(self):
    os.kill(os.getpid(), signal.SIGKILL)

def late(*arguments, command=sandbox_box.command):
    return ["/bin/sh", "-c", 'sleep 0.5; exec "$@"', "sh", *command(*arguments)]

check_sandbox()
sandbox_box.Box._handshake, sandbox_box.command = die, late
run_python("{SLEEPS}", limits=Limits(memory={MEMORY}))
"""
ONE = f"""
from agents.sandbox import Limits, run_python
run_python({STUBBORN!r}, limits=Limits(seconds=600, memory={MEMORY}))
"""
MANY = f"""
from agents.sandbox import Limits, check_sandbox, run_python
check_sandbox()
print("ready", flush=True)
while True:
    run_python("{SLEEPS}", limits=Limits(seconds=0.05, memory={MEMORY}))
"""


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def start(code):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    process.stdout.close()


def test_a_killed_parent_takes_the_sandbox_along(sandbox, processes_of):
    parent = start(ONE)
    try:
        assert until(lambda: len(processes_of(MEMORY)) == 3)  # bubblewrap outside and inside, and Python
        time.sleep(0.3)
        assert len(processes_of(MEMORY)) == 3  # control: it would live on
    finally:
        kill(parent)
    assert until(lambda: processes_of(MEMORY) == [])


def test_a_parent_that_dies_before_bubblewrap_begins_leaves_nothing(sandbox, processes_of):
    """What bubblewrap tells about its first process then has no reader; if that ended it, its child would wait on."""
    parent = start(BEGUN)
    parent.wait(60)
    parent.stdout.close()
    assert parent.returncode == -signal.SIGKILL
    time.sleep(2)  # bubblewrap begins half a second after its parent's end
    assert until(lambda: processes_of(MEMORY) == [])


@pytest.mark.parametrize("seed", range(12))
def test_a_parent_killed_at_any_moment_leaves_nothing(seed, sandbox, processes_of):
    parent = start(MANY)
    try:
        assert parent.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
    finally:
        kill(parent)
    assert until(lambda: processes_of(MEMORY) == [])
