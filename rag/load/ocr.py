"""Text from pictures of text (OCR): Tesseract, where its program is installed.

The parsing process may start no program, so it hands over one page at a time as a plain grey picture (PGM: a header
and the pixels), made and bounded there, and this side pipes it to `tesseract stdin stdout`. Tesseract thus never
sees the file, only pixels in the simplest format there is; it runs without our environment, in one thread, under
limits of time, memory and written bytes. The picture is checked before, because it was made beside hostile input.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache

from rag.errors import DamagedDocument, DocumentError, DocumentLimit

PAGE_SECONDS = 60.0
MEMORY = 2 << 30
PIXELS = 25_000_000
"""Most pixels of a page: A4 at 500 dots per inch, or a large photograph."""
MOST = PIXELS + 64
DPI = 300
"""Dots per inch at which pages are drawn; Tesseract's own advice."""
_HEADER = re.compile(rb"P5\n(\d{1,6}) (\d{1,6})\n255\n")
_LANGUAGES = re.compile(r"[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)?(?:\+[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)?)*")
_LAUNCH = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Sets the limits and becomes Tesseract; a `preexec_fn` is not safe where other threads run."""
_PASSED = ("PATH", "LANG", "LC_ALL", "TESSDATA_PREFIX")
_STEP = "loading"


def available() -> bool:
    """Whether Tesseract's program is on the path."""
    return _program() is not None


def _program() -> str | None:
    return _found(os.environ.get("PATH", os.defpath))


@lru_cache(maxsize=4)
def _found(path: str) -> str | None:
    return shutil.which("tesseract", path=path)


def recognise(picture: bytes, languages: str = "eng", seconds: float = PAGE_SECONDS) -> str:
    """The text in one grey picture (binary PGM of 8 bits), paragraphs apart; empty when it shows none.

    Args:
        languages: names of Tesseract's language data, joined by "+".
        seconds: wall-clock time that it may take.

    Raises:
        DocumentLimit: it takes too long or too much memory.
        DocumentError: Tesseract is missing or fails, or its language data is not installed.
        DamagedDocument: the picture is not what it should be.
    """
    program = _program()
    if program is None:
        raise DocumentError(_STEP, "Tesseract is not installed", "Install tesseract-ocr")
    if not _LANGUAGES.fullmatch(languages):
        raise DocumentError(_STEP, f"{languages!r} names no languages", "Give names such as eng or eng+deu")
    _check(picture)
    limits = (str(MEMORY), str(int(seconds) + 1))
    arguments = (program, "stdin", "stdout", "-l", languages, "--dpi", str(DPI))
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ} | {"OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, *limits, *arguments],
            input=picture,
            capture_output=True,
            timeout=seconds,
            cwd="/",
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for it
        )
    except subprocess.TimeoutExpired as error:
        cause = f"recognising the text of a page took more than {seconds:g} seconds"
        raise DocumentLimit(_STEP, cause, "Scan it more coarsely, or split it") from error
    if done.returncode != 0:
        raise _failed(done.returncode, done.stderr.decode("utf-8", "replace"), languages)
    lines = done.stdout.decode("utf-8", "replace").replace("\f", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def _check(picture: bytes) -> None:
    header = _HEADER.match(picture)
    if not header:
        raise DamagedDocument(_STEP, "its page cannot be drawn", "Export it again")
    pixels = int(header.group(1)) * int(header.group(2))
    if not 0 < pixels <= PIXELS or len(picture) != header.end() + pixels:
        raise DamagedDocument(_STEP, "its page cannot be drawn", "Export it again")


def _failed(status: int, told: str, languages: str) -> DocumentError:
    if "loading language" in told or "tessdata" in told:
        remedy = "Install it (Debian: tesseract-ocr-<language>), or set HEARTH_RAG_OCR_LANGUAGES"
        return DocumentError(_STEP, f"Tesseract has no language data for {languages}", remedy)
    if status < 0 or "alloc" in told:
        return DocumentLimit(_STEP, f"recognising the text of a page took more than {MEMORY >> 30} GiB or crashed")
    return DocumentError(_STEP, f"Tesseract failed with status {status}", "Try `tesseract` on it by hand")
