"""The child process that parses: one request after another over a pipe, under limits, with nothing to reach.

Started as a script, isolated (`python -I`), by `rag.load.process`. A frame is four bytes of length (big-endian)
and so many bytes of JSON; the bytes of a document, or of a picture made from it, follow their frame as they are.
Never imports a model library.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
from typing import IO, Any

PREFIX = struct.Struct(">I")
FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "os.spawn", "webbrowser.")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RECURSION = 20_000
"""Deeply nested HTML is legal; Python 3.11 and later recurse on the heap."""
UNLIMITED = resource.RLIM_INFINITY


def main() -> None:
    """Serve until the parent closes the pipe. Replies: pages, title and metadata, or an error's name and cause."""
    _die_with_parent(int(sys.argv[1]))
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not get between the frames
    _find_ourselves(read_frame(requests))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.setrecursionlimit(RECURSION)
    sys.addaudithook(_reach_nothing)
    write_frame(replies, {"ready": True})
    while request := read_frame(requests):
        data = requests.read(request["size"])
        signal.setitimer(signal.ITIMER_REAL, request["seconds"] + 2)  # in case the parent cannot stop us
        reply, made = _answer(request, data)
        del data
        signal.setitimer(signal.ITIMER_REAL, 0)
        write_frame(replies, {**reply, "size": len(made)}, made)


def read_frame(stream: IO[bytes], most: int = 1 << 20) -> dict[str, Any]:
    """The next frame, or an empty one at the end of the stream; ValueError when it is longer than `most` bytes."""
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return {}
    (length,) = PREFIX.unpack(prefix)
    if length > most:
        raise ValueError(f"a frame of {length} bytes")
    body = stream.read(length)
    if len(body) < length:
        return {}
    frame = json.loads(body)
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame


def write_frame(stream: IO[bytes], frame: dict[str, Any], data: bytes = b"") -> None:
    """Write one frame, and the document's bytes after it."""
    body = json.dumps(frame, ensure_ascii=False).encode("utf-8", "replace")
    stream.write(PREFIX.pack(len(body)) + body)
    stream.write(data)
    stream.flush()


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Parse one document, or do what else is asked; whatever that raises becomes a reply."""
    from rag.errors import DocumentError
    from rag.load.formats import Parsed

    try:
        module = importlib.import_module(f"rag.load.{request['format']}")
        for dependency in request["imports"]:
            importlib.import_module(dependency)
        _limit_memory(request["memory"])
        made = getattr(module, request["call"])(data, **request["options"])
        return (_reply(made, request["text"]), b"") if isinstance(made, Parsed) else ({"values": made[0]}, made[1])
    except DocumentError as error:
        return {"error": type(error).__name__, "cause": error.cause, "remedy": error.remedy}, b""
    except ModuleNotFoundError as error:
        return {"error": "MissingExtra", "cause": str(error.name)}, b""
    except (MemoryError, SystemError):  # the latter comes of an allocation that failed within C code
        return {"error": "DocumentLimit", "cause": f"it took more than {request['memory'] >> 20} MiB of memory"}, b""
    except RecursionError:
        return {"error": "DamagedDocument", "cause": "it is nested too deeply"}, b""
    except Exception as error:  # noqa: BLE001  # parsers raise anything on hostile input: it is that file's fault
        return {"error": "DamagedDocument", "cause": f"its parser failed ({type(error).__name__}: {error})"[:400]}, b""
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (UNLIMITED, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _reply(parsed: Any, most: int) -> dict[str, Any]:
    if sum(map(len, parsed.pages)) > most:
        return {"error": "DocumentLimit", "cause": f"it holds more than {most} characters of text"}
    return {
        "pages": [_clean(page) for page in parsed.pages],
        "title": " ".join(_clean(parsed.title).split())[:200],
        "metadata": {_clean(key): _clean_value(value) for key, value in parsed.metadata.items()},
    }


def _clean_value(value: Any) -> Any:
    """A value of the metadata on one line and not too long; a tuple as a list."""
    if isinstance(value, (tuple, list)):
        return [_clean_value(str(item)) for item in value[:64]]
    return " ".join(_clean(value).split())[:1000] if isinstance(value, str) else value


def _clean(text: str) -> str:
    """Without NULs, and without halves of surrogate pairs, which are not text and cannot be stored."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _limit_memory(extra: int) -> None:
    """Let the process grow by `extra` bytes of address space; nothing where there is no /proc (macOS)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # pathlib is not loaded here yet
            baseline = int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = baseline + extra
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == UNLIMITED else min(wanted, hard), hard))


def _find_ourselves(greeting: dict[str, Any]) -> None:
    """Import `rag` from where the parent has it, behind the standard library and before other packages."""
    packages = (i for i, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages")))
    sys.path.insert(next(packages, len(sys.path)), greeting["root"])
    sys.path.extend(entry for entry in greeting["path"] if entry not in sys.path)


def _die_with_parent(lifeline: int) -> None:
    """Ask the kernel for SIGIO, whose default is death, when the parent's end of this pipe closes, even in a loop."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(0)


def _reach_nothing(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no network, no other process, no written file."""
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"a parser tried {event}")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING and arguments[0] != os.devnull:
        raise PermissionError(f"a parser tried to write {arguments[0]!r}")


if __name__ == "__main__":
    main()
