"""The machine around a sandbox, as its tests watch it: secrets not to leak, doors not to be knocked at."""

import ctypes
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SHARED_BYTES = 4096
IPC_CREAT, IPC_RMID = 0o1000, 0


class World:
    """Canaries and listeners, and what is seen of them being touched.

    `token` stands in a file, in the environment, in an inherited descriptor and in shared memory; whoever shows it,
    read one of these.
    """

    def __init__(self, folder):
        self.token = secrets.token_hex(16)
        self.target = folder / "target"
        self.target.mkdir()
        self.secret = folder / "secret.txt"
        self.secret.write_text(self.token)
        self.fd = os.open(self.secret, os.O_RDONLY)
        os.set_inheritable(self.fd, True)
        self.victim = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        self.seen = []
        self._listen(folder)
        self._share()
        self.before = self._state()

    def _listen(self, folder):
        self.unix, self.abstract = str(folder / "door"), f"hearth-{secrets.token_hex(8)}"
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.doors = [
            self._door(socket.AF_INET, stream, ("127.0.0.1", 0)),
            self._door(socket.AF_INET, datagram, ("127.0.0.1", 0)),
            self._door(socket.AF_UNIX, stream, "\0" + self.abstract),
            self._door(socket.AF_UNIX, datagram, "\0" + self.abstract),
            self._door(socket.AF_UNIX, stream, self.unix),
        ]
        self.tcp, self.udp = (door.getsockname()[1] for door in self.doors[:2])

    def _door(self, family, kind, address):
        door = socket.socket(family, kind)
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen()
        door.setblocking(False)
        return door

    def _share(self):
        self.libc = ctypes.CDLL(None)
        self.libc.shmat.restype, self.libc.shmat.argtypes = (
            ctypes.c_void_p,
            [ctypes.c_int, ctypes.c_void_p, ctypes.c_int],
        )
        self.libc.shmdt.argtypes = [ctypes.c_void_p]
        self.shared = self.libc.shmget(0, SHARED_BYTES, IPC_CREAT | 0o600)
        address = self.libc.shmat(self.shared, None, 0)
        ctypes.memmove(address, self.token.encode(), len(self.token))
        self.libc.shmdt(address)

    def _state(self):
        """What code that got out could have changed."""
        python = Path(sys.executable).resolve()
        watched = (
            self.secret,
            self.target,
            python,
            os.__file__,
            os.path.dirname(os.__file__),
            "/dev/null",
            "/etc",
            "/",
        )
        kept = {str(path): (os.stat(path).st_mode, os.stat(path).st_ino, os.stat(path).st_uid) for path in watched}
        kept |= {str(path): os.stat(path).st_ctime_ns for path in (self.secret, self.target, python, os.__file__)}
        return kept | {
            "target": sorted(os.listdir(self.target)),
            "secret": self.secret.read_bytes(),
            "mounts": Path("/proc/self/mountinfo").read_text(),
            "host": socket.gethostname(),
            "limits": Path("/proc/self/limits").read_text(),
            "affinity": os.sched_getaffinity(0),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "core": Path("/proc/sys/kernel/core_pattern").read_text(),
            "victim's limits": self._victims("limits"),
            "dropped": [name for name in DROPPED if os.path.lexists(name)],
        }

    def _victims(self, what):
        try:
            return Path(f"/proc/{self.victim.pid}/{what}").read_text()
        except OSError:
            return ""

    def effects(self, *texts):
        """Everything that happened to the machine since the world was made; and the token, where a text shows it."""
        found = [f"knocked at {door.getsockname()!r}" for door in self.doors if self._knocked(door)]
        now = self._state()
        found += [f"{key}: {self.before[key]!r} is now {now[key]!r}" for key in now if now[key] != self.before[key]]
        found += ["the victim died"] if self.victim.poll() is not None else []
        found += ["the token leaked"] if any(self.token in text for text in texts) else []
        found += ["it says that it escaped"] if any("ESCAPED" in text for text in texts) else []
        return found

    def _knocked(self, door):
        try:
            if door.type == socket.SOCK_STREAM:
                door.accept()[0].close()
            else:
                door.recv(1)
        except BlockingIOError:
            return False
        return True

    def prelude(self):
        """What an attempt knows: where everything is that it may try to reach."""
        names = {
            "SECRET": str(self.secret), "TARGET": str(self.target), "FD": self.fd, "VICTIM": self.victim.pid,
            "TCP": self.tcp, "UDP": self.udp, "ABSTRACT": "\0" + self.abstract, "UNIX": self.unix,
            "SHARED": self.shared, "ROOT": str(Path(__file__).parents[2]), "TESTER": os.getpid(),
        }  # fmt: skip
        lines = [f"{name} = {value!r}" for name, value in names.items()]
        return "\n".join([*lines, "def escaped(): print('ESCAPED')", ""])

    def close(self):
        self.victim.kill()
        self.victim.wait(10)
        self.libc.shmctl(self.shared, IPC_RMID, None)
        os.close(self.fd)
        for door in self.doors:
            door.close()


DROPPED = ("/etc/cron.d/hearth-canary", "/etc/ld.so.preload", "/tmp/hearth-canary", "/dev/shm/hearth-canary")


@pytest.fixture
def make_world(tmp_path, monkeypatch):
    """Make the world of one test, its token in this process's environment."""
    worlds = []

    def make():
        worlds.append(World(tmp_path))
        monkeypatch.setenv("HEARTH_CANARY", worlds[-1].token)
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """One world for all attempts: none of them may leave a trace in it."""
    one = World(tmp_path_factory.mktemp("world"))
    os.environ["HEARTH_CANARY"] = one.token
    yield one
    del os.environ["HEARTH_CANARY"]
    one.close()


def marked(limit_bytes):
    """Processes whose command line holds this number: the sandboxes that were given it as their memory limit."""
    mark, found = f"\0{limit_bytes}\0".encode(), []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and process.name != str(os.getpid()):
            try:
                if mark in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
    return found


@pytest.fixture(scope="session")
def processes_of():
    """The ids of living processes of sandboxes with a memory limit, by that limit."""
    return marked


@pytest.fixture(scope="session")
def sandbox():
    """Skip, with the reason, where code cannot be isolated."""
    from agents.sandbox import SandboxUnavailable, check_sandbox

    try:
        return check_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
