"""What runs first inside the sandbox: it shuts the last doors, says that it is ready, takes the code and runs it.

Started by bubblewrap as `python -I -S -B start.py MEMORY CPU FILE_SIZE OPEN_FILES`, with namespaces, mounts and the
seccomp filter in place. Standard input is a socket to the parent; it is used up before the code runs. Nothing here is a
secret and nothing here is trusted afterwards: the code shares this interpreter, and all that holds it is in the kernel.
"""

from __future__ import annotations

import os
import sys

MEMORY_STATUS = 117
NAME = "main.py"
SCRATCH, NULL = "/scratch", "/scratch/.null"
# struct landlock_ruleset_attr and its rights, from linux/landlock.h
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
DEVICES = 1 << 6 | 1 << 11  # MAKE_CHAR, MAKE_BLOCK
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
NETWORK, SCOPES = 0b11, 0b11  # bind and connect TCP; abstract sockets and signals
PATH_BENEATH = 1


def restrict_files() -> int:
    """Landlock: read beneath /, write in the scratch folder, no program, TCP or signal. The ABI, or 0 without it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long
    abi = libc.syscall(number(444), None, number(0), number(1))
    if abi < 1:
        return 0
    every = (1 << RIGHTS_BY_ABI.get(abi, 16)) - 1
    words = [every, NETWORK if abi >= 4 else 0, SCOPES if abi >= 6 else 0][: 1 if abi < 4 else 2 if abi < 6 else 3]
    attributes = b"".join(word.to_bytes(8, sys.byteorder) for word in words)
    ruleset = libc.syscall(number(444), attributes, number(len(attributes)), number(0))
    reading = READ_FILE | READ_DIR
    writing = every & ~EXECUTE & ~DEVICES
    for path, rights in (("/", reading), (SCRATCH, writing)):
        folder = os.open(path, os.O_PATH)
        rule = rights.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder)
        if libc.syscall(number(445), number(ruleset), number(PATH_BENEATH), rule, number(0)):
            raise OSError(ctypes.get_errno(), "landlock_add_rule")
        os.close(folder)
    if libc.syscall(number(446), number(ruleset), number(0)):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return int(abi)


def restrict_resources(memory: int, cpu: int, file_size: int, open_files: int) -> None:
    """Resource limits, none of which can be raised again."""
    import resource

    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 1),  # 0 would still feed a core_pattern that is a pipe; at 1 the kernel gives up
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        resource.setrlimit(what, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))


def receive_code(landlock: int) -> str:
    """Say that all is in place, hand out the scratch folder, and wait for the code; exit when the parent is gone."""
    import _socket

    channel = _socket.socket(fileno=0)
    scratch = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECTORY)
    handed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, scratch.to_bytes(4, sys.byteorder))]
    channel.sendmsg([str(landlock).encode()], handed)
    os.close(scratch)
    received = bytearray()
    while len(received) < 8 or len(received) < 8 + int.from_bytes(received[:8], "big"):
        piece = channel.recv(1 << 16)
        if not piece:
            os._exit(1)
        received += piece
    tether()
    try:
        alive = channel.recv(1, _socket.MSG_DONTWAIT)
    except BlockingIOError:
        alive = b"?"
    if not alive:
        os._exit(1)
    channel.detach()
    return received[8:].decode("utf-8", "surrogatepass")


def tether() -> None:
    """Have the kernel send SIGKILL here when the parent's end of the socket closes, as it does however the parent dies.

    The socket stays open in the first process of this pid namespace, out of the code's reach, so nothing undoes this.
    PR_SET_PDEATHSIG, as bubblewrap sets it, would leave a process behind when the parent dies while it starts
    (bubblewrap's issue 633), and follows the thread that started it rather than the process.
    """
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETSIG, 9)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def empty_stdin() -> None:
    """Standard input that is at its end, in place of the socket."""
    reader, writer = os.pipe()
    os.close(writer)
    os.dup2(reader, 0)
    os.close(reader)


def show(error: BaseException, source: str) -> None:
    """Print the traceback from the code's first frame on, with its lines."""
    import linecache
    import traceback

    linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)
    frames = error.__traceback__
    traceback.print_exception(type(error), error, frames.tb_next if frames else None)


def run(source: str) -> int:
    """Run the code as the module __main__; the status to exit with."""
    module = type(sys)("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    sys.argv[:] = [NAME]
    try:
        exec(compile(source, NAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # what the sandbox is for
    except SystemExit:
        raise
    except MemoryError as error:
        module.__dict__.clear()  # room to say what happened
        try:
            show(error, source)
        except MemoryError:
            os.write(2, b"MemoryError\n")
        return MEMORY_STATUS
    except BaseException as error:  # noqa: BLE001  # whatever the code raises is its result
        show(error, source)
        return 1
    return 0


def main() -> int:
    """Shut the doors, take the code, run it."""
    memory, cpu, file_size, open_files = (int(argument) for argument in sys.argv[1:5])
    os.close(os.open(NULL, os.O_CREAT | os.O_WRONLY, 0o644))
    landlock = restrict_files()
    restrict_resources(memory, cpu, file_size, open_files)
    source = receive_code(landlock)
    empty_stdin()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what was printed survives a kill
    return run(source)


if __name__ == "__main__":
    sys.exit(main())
