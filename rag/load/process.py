"""The parent's side of the parsing process: start it, ask it, stop it when it takes too long, start it again."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from decoder.errors import MissingExtra, ServiceError, UsageError
from rag.errors import DamagedDocument, DocumentError, DocumentLimit, EncryptedDocument, NoText, UnsupportedFormat
from rag.filters import check_metadata
from rag.load import worker
from rag.load.formats import Format, Parsed

ERRORS: dict[str, type[DocumentError]] = {
    each.__name__: each for each in (DamagedDocument, DocumentLimit, EncryptedDocument, NoText, UnsupportedFormat)
}
LIMIT_SIGNALS = {
    int(signal.SIGKILL): "the system ran out of memory",
    int(signal.SIGABRT): "its parser aborted, as pdfium does at its memory limit",
    int(signal.SIGALRM): "it took more than its time",
}
START_SECONDS = 30.0
STOP_SECONDS = 2.0
FILES_PER_PROCESS = 500
"""Then it is replaced, so that what a parser leaks does not add up."""
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
"""All that the child sees of the environment: keys and tokens are not a parser's business."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What loading one file may take.

    Attributes:
        seconds: wall-clock time of its parse.
        memory: bytes that the parsing process may grow by.
        file_size: bytes of the file.
        text: characters of the extracted text.
        members: files in an archive, those of archives in it included.
        unpacked: bytes that the members of an archive may be together.
        recognition: seconds that reading pictures of text (OCR) may take, all pages of a file together.
    """

    seconds: float = 20.0
    memory: int = 1 << 30
    file_size: int = 64 << 20
    text: int = 20_000_000
    members: int = 10_000
    unpacked: int = 512 << 20
    recognition: float = 600.0


@dataclass(frozen=True, slots=True)
class Task:
    """What the child is asked to do with a file's bytes.

    Attributes:
        module: of `rag.load`.
        call: its function, of the bytes and `options`; it returns Parsed, or values and bytes.
        imports: libraries that are imported before memory is measured.
        options: keyword arguments. They may hold a password, so they are not shown.
    """

    module: str
    call: str = "parse"
    imports: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


class ParsingProcess:
    """One child process that serves many files, one at a time. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._owner = 0
        self._served = 0

    def parse(self, kind: Format, data: bytes, limits: Limits, step: str, source: str, **options: Any) -> Parsed:
        """Parse one file's bytes in the child.

        Raises:
            DocumentError: of the kind that tells what is wrong with this file.
            MissingExtra: a parser is not installed.
            ServiceError: the child cannot be started.
        """
        task = Task(kind.name, imports=kind.imports, options=options)
        reply, _ = self._reply(task, data, limits, step, source)
        return _parsed(reply, step, source)

    def call(
        self, task: Task, data: bytes, limits: Limits, step: str, source: str, most: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        """Do something else with a file's bytes in the child: the values and at most `most` bytes that it makes.

        Raises: as `parse` does.
        """
        reply, made = self._reply(task, data, limits, step, source, most)
        values = reply.get("values")
        if "error" in reply:
            raise _error(reply, step, source)
        if not isinstance(values, dict):
            raise DamagedDocument(step, "its parser answered nonsense", "Export it again", source)
        return values, made

    def _reply(
        self, task: Task, data: bytes, limits: Limits, step: str, source: str, most: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            try:
                reply, made = self._ask(task, data, limits, step, source, most)
            except BaseException:
                self._stop()  # it may be in the middle of an answer that nobody reads
                raise
            if reply.get("error") == "DocumentLimit":
                self._stop()  # what a failed allocation leaves behind is not trusted
        return reply, made

    def close(self) -> None:
        """Stop the child. Idempotent; the next `parse` starts another."""
        with self._lock:
            self._stop()

    def _ask(
        self, task: Task, data: bytes, limits: Limits, step: str, source: str, most: int
    ) -> tuple[dict[str, Any], bytes]:
        child = self._running()
        self._served += 1
        request = {
            "format": task.module,
            "call": task.call,
            "options": task.options,
            "imports": task.imports,
            "size": len(data),
            "seconds": limits.seconds,
            "memory": limits.memory,
            "text": limits.text,
        }
        late, reply, made = _exchange(child, request, data, limits.seconds, limits.text * 4 + (1 << 20), most)
        if late:
            raise DocumentLimit(step, f"it took more than {limits.seconds:g} seconds", "Split it", source)
        if not reply:
            raise _died(child, step, source)
        return reply, made

    def _running(self) -> subprocess.Popen[bytes]:
        """The child, started afresh when there is none, it died, it is old, or this process is a fork."""
        forked = self._owner != os.getpid()
        child = None if forked else self._child
        if child is not None and child.poll() is None and self._served < FILES_PER_PROCESS:
            return child
        if not forked:
            self._stop()
        return self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        theirs, self._lifeline = os.pipe()
        command = [sys.executable, "-I", "-B", str(worker.__file__), str(theirs)]
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment["OMP_NUM_THREADS"] = "1"
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs],
                cwd="/",
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us, not for it
            )
        finally:
            os.close(theirs)
        self._child, self._owner, self._served = child, os.getpid(), 0
        here = Path(__file__).resolve().parents[2]
        greeting = {"root": str(here), "path": [entry for entry in sys.path if Path(entry).is_absolute()]}
        late, reply, _ = _exchange(child, greeting, b"", START_SECONDS, 1 << 20)
        if late or not reply:
            cause = f"the parsing process did not start ({sys.executable} -I)"
            raise ServiceError("loading documents", cause, "Run `hearth doctor`")
        return child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None or self._owner != os.getpid():
            return
        child.kill()
        child.wait(STOP_SECONDS)
        for stream in (child.stdin, child.stdout):
            _close(stream)
        os.close(self._lifeline)


def _exchange(
    child: subprocess.Popen[bytes], request: dict[str, Any], data: bytes, seconds: float, most: int, most_made: int = 0
) -> tuple[bool, dict[str, Any], bytes]:
    """Send one request and read its reply: whether it came too late, the reply (empty when the child died), its bytes.

    Args:
        most, most_made: bytes that the reply may have, and what was made, which follows it.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()  # which ends the blocking reads and writes below

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    assert child.stdin is not None and child.stdout is not None  # noqa: S101  # both are pipes
    try:
        worker.write_frame(child.stdin, request, data)
        reply = worker.read_frame(child.stdout, most)
        size = reply.get("size", 0)
        if not isinstance(size, int) or not 0 <= size <= most_made:
            raise ValueError(f"{size} bytes that nobody asked for")
        made = child.stdout.read(size)
        if len(made) < size:
            reply = {}
        return late.is_set() and not reply, reply, made
    except (BrokenPipeError, ValueError):
        return late.is_set(), {}, b""
    finally:
        timer.cancel()


def _died(child: subprocess.Popen[bytes], step: str, source: str) -> DocumentError:
    """The error for a child that went away in the middle of a file."""
    try:
        status = child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return DamagedDocument(step, "its parser answered nonsense", "Export it again", source)
    if -status in LIMIT_SIGNALS:
        return DocumentLimit(step, LIMIT_SIGNALS[-status], "Split it", source)
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return DamagedDocument(step, f"its parser crashed ({name})", "Export it again", source)


def _error(reply: dict[str, Any], step: str, source: str) -> UsageError:
    """The error that a reply names."""
    cause, remedy = " ".join(str(reply.get("cause", "")).split()), str(reply.get("remedy", ""))
    if reply["error"] == "MissingExtra":
        return MissingExtra(step, cause, "rag")
    kind = ERRORS.get(str(reply["error"]), DamagedDocument)
    return kind(step, cause, remedy or ("Split it" if kind is DocumentLimit else "Export it again"), source)


def _parsed(reply: dict[str, Any], step: str, source: str) -> Parsed:
    """The reply as data, or raised as the error that it names. It comes from a process that read hostile bytes."""
    if "error" in reply:
        raise _error(reply, step, source)
    pages, title, metadata = reply.get("pages"), reply.get("title"), reply.get("metadata")
    nonsense = DamagedDocument(step, "its parser answered nonsense", "Export it again", source)
    if not isinstance(pages, list) or not isinstance(title, str) or not all(isinstance(page, str) for page in pages):
        raise nonsense
    try:
        return Parsed(tuple(pages), title, check_metadata(metadata if isinstance(metadata, dict) else {"": ""}))
    except UsageError as error:
        raise nonsense from error


def _close(stream: IO[bytes] | None) -> None:
    if stream is None:
        return
    try:
        stream.close()
    except BrokenPipeError:
        return  # what was still to be written has no reader any more


PARSING = ParsingProcess()
"""The one parsing process of this program; started by the first `load`."""
atexit.register(PARSING.close)
