"""Each wall of the sandbox alone: what holds when another is missing.

The filter of system calls is replaced by one that allows everything, or everything but Landlock, as on a kernel without
it. The attempts that the whole sandbox refuses must then fail at the walls that are left.
"""

import asyncio
import ctypes
import os
import signal
import time

import pytest

from agents import sandbox_seccomp
from agents.sandbox import Limits, arun_python, reason_of, run_python
from agents.sandbox_box import Box

MEMORY = 256 * 2**20 + (os.getpid() % 60000) * 4096 + 4096 * 70000
LIMITS = Limits(seconds=5.0, memory=MEMORY, scratch=2**20)


@pytest.fixture
def unfiltered(monkeypatch, sandbox):
    """No seccomp: a program of one instruction, "allow"."""
    allow = b"\x06\x00\x00\x00" + (0x7FFF0000).to_bytes(4, "little")
    monkeypatch.setattr("agents.sandbox_box.filter_program", lambda: allow)


@pytest.fixture
def without_landlock(monkeypatch, sandbox):
    """The filter without the three calls of Landlock, as if the kernel did not know them."""
    monkeypatch.setattr(sandbox_seccomp, "ALLOWED_BY_NUMBER", {})
    program = sandbox_seccomp.filter_program.__wrapped__()
    monkeypatch.setattr("agents.sandbox_box.filter_program", lambda: program)


async def landlock_of_a_box():
    async with Box(LIMITS) as box:
        return box.landlock


def attempt(world, code):
    result = run_python(world.prelude() + code, limits=LIMITS)
    assert world.effects(result.stdout, result.stderr) == []
    return result


def test_a_filter_that_allows_everything_allows_sockets(unfiltered, world):
    assert attempt(world, "import socket\nsocket.socket()\nprint('made')").stdout == "made\n"


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', TCP), 2)",
        "import socket\nsocket.socket(1).connect(ABSTRACT)",
        "import socket\nsocket.socket(1, 2).sendto(b'x', ABSTRACT)",
        "import socket\nsocket.socket(1).connect(UNIX)",
        "print(open(SECRET).read())",
        "open(TARGET + '/dropped', 'w')",
        "import os\nos.chmod('/lib/libc.so.6', 0o600)",
        "import os\nos.chmod(os.__file__, 0o600)",
        "open('/x', 'w')",
        "import os\nos.kill(VICTIM, 9)",
        "import os\nos.setuid(0)",
        "import os\nos.setgroups([])",
        "import os, stat\nos.mknod('disk', stat.S_IFBLK | 0o666, os.makedev(254, 0))",
        "import ctypes\nif ctypes.CDLL(None).mount(None, b'/', None, 32 | 4096, None): raise OSError(1, '')",
        "import ctypes\nif ctypes.CDLL(None, use_errno=True).umount2(b'/scratch', 2): raise OSError(1, '')",
        "import os\nos.nice(-5)",
        "import ctypes\nif ctypes.CDLL(None, use_errno=True).shmat(SHARED, None, 0o10000) == -1: raise OSError(1, '')",
    ],
)
def test_without_the_filter_the_other_walls_hold(code, unfiltered, world):
    result = attempt(world, code)
    assert result.reason == "error"
    assert "Error" in result.stderr


def test_without_the_filter_a_user_namespace_gains_nothing(unfiltered, world):
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000 | 0x20000))
mounts = (b"/", b"/scratch", 4096 | 16384), (None, b"/", 32), (None, b"/lib/libc.so.6", 32 | 4096)
for source, target, flags in mounts:
    if libc.mount(source, target, None, flags, None) == 0 and target == b"/":
        escaped()
for attempt in (lambda: open("/x", "w"), lambda: os.chmod("/lib/libc.so.6", 0o600), lambda: print(open(SECRET).read())):
    try:
        attempt()
    except OSError:
        continue
    escaped()
"""
    assert attempt(world, code).ok


def test_a_daemon_dies_with_the_run(unfiltered, world, processes_of):
    code = """
import os, signal, time
ready, says = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.write(says, b"x")
        time.sleep(600)
    os._exit(0)
os.read(ready, 1)
print("a daemon lives")
"""
    try:
        result = run_python(code, limits=Limits(seconds=5.0, memory=MEMORY))
    finally:
        left = processes_of(MEMORY)
    if os.geteuid():
        assert "BlockingIOError" in result.stderr  # an ordinary user's processes are limited too
    else:
        assert result.stdout == "a daemon lives\n"
    assert left == []


def test_its_own_group_is_all_that_a_signal_to_the_group_reaches(unfiltered, world):
    """`kill(0, …)` passes a pid namespace: bubblewrap outside is of the group, this process is not."""
    assert attempt(world, "import os\nos.kill(0, 9)").reason == "killed"


async def test_a_kernel_without_landlock_is_told_and_the_rest_holds(without_landlock, world):
    assert await landlock_of_a_box() == 0
    for code in ("open('/x', 'w')", "open(TARGET + '/dropped', 'w')", "print(open(SECRET).read())"):
        result = await arun_python(world.prelude() + code, limits=LIMITS)
        assert result.reason == "error"
        assert world.effects(result.stdout, result.stderr) == []


@pytest.mark.skipif(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1, reason="this kernel has no Landlock")
async def test_landlock_holds_inside(sandbox):
    """What only Landlock forbids: running a program, which mounts and filter allow."""
    assert await landlock_of_a_box() >= 1
    result = await arun_python("import os, sys\nos.execv(sys.executable, [sys.executable, '-c', '0'])")
    assert result.stderr.endswith("PermissionError: [Errno 13] Permission denied\n")


def test_without_landlock_a_program_runs(without_landlock, world):
    """The control: it was Landlock."""
    code = "import os, sys\nos.execv(sys.executable, [sys.executable, '-ISc', 'print(6 * 7)'])"
    assert attempt(world, code).stdout == "42\n"


def three(processes_of):
    """The three processes of a sandbox that runs: bubblewrap outside and inside, and Python."""
    deadline = time.monotonic() + 30
    while len(found := sorted(processes_of(MEMORY))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(found) == 3
    return found


async def test_cancelling_ends_the_run(sandbox, processes_of):
    task = asyncio.create_task(arun_python("import time\ntime.sleep(600)", limits=Limits(seconds=600, memory=MEMORY)))
    await asyncio.to_thread(three, processes_of)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_of(MEMORY) == []


@pytest.mark.parametrize("which", range(3))
async def test_killing_any_part_ends_the_run(which, sandbox, processes_of):
    """Somebody, or the kernel short of memory, kills one of the three processes."""
    async with Box(Limits(seconds=60, memory=MEMORY)) as box:
        await box.begin("import time\ntime.sleep(600)")
        os.kill(three(processes_of)[which], signal.SIGKILL)
        assert await box.watch() is None
        assert reason_of(box.status) == "killed"
    assert processes_of(MEMORY) == []
