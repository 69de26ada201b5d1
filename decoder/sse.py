"""Server-sent events, read from bytes that arrive in any pieces (WHATWG HTML, section 9.2).

Knows `data` fields only; event names, ids and reconnection times are skipped, as the OpenAI protocol has none.
"""

from __future__ import annotations

import re

from decoder.errors import MalformedResponse

STEP = "reading the event stream"
MAX_EVENT_BYTES = 32 * 1024 * 1024
DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventParser:
    """Turns bytes into the `data` of each event.

    Pieces may end anywhere: inside a character, between CR and LF, in the middle of a field's name.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that this piece completed, in order.

        Raises:
            MalformedResponse: an event is not UTF-8, or is larger than MAX_EVENT_BYTES.
        """
        buffer = self._buffer
        searched = bool(buffer) and not buffer.endswith(b"\r")
        buffer += piece
        self._guard(len(buffer))
        if searched and b"\n" not in piece and b"\r" not in piece:
            return []  # a long line that drips in is searched once, not once per piece
        start, events = self._skip_bom(), []
        for end in _LINE_END.finditer(buffer, start):
            if end.end() == len(buffer) and end.group() == b"\r":
                break  # its LF may be in the next piece
            event = self._line(bytes(buffer[start : end.start()]))
            start = end.end()
            if event is not None:
                events.append(event)
        self._buffer = buffer[start:]
        return events

    def flush(self) -> list[str]:
        """The last event when the stream ended without the empty line that should follow it.

        Incomplete JSON is for the caller to find: it does not parse.
        """
        line = bytes(self._buffer).rstrip(b"\r")
        self._buffer.clear()
        first = self._line(line) if line else None
        last = self._line(b"")
        return [event for event in (first, last) if event is not None]

    def _skip_bom(self) -> int:
        """Bytes to skip at the start of the buffer: a byte order mark may open the stream, once."""
        if self._begun:
            return 0
        self._begun = not _BOM.startswith(self._buffer[:3]) or len(self._buffer) >= len(_BOM)
        return len(_BOM) if self._buffer.startswith(_BOM) else 0

    def _line(self, line: bytes) -> str | None:
        """Take one line; returns an event's data when the line is the empty one that ends it."""
        if not line:
            return self._dispatch() if self._data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value[1:] if value.startswith(b" ") else value
            self._data.append(value)
            self._size += len(value)
            self._guard(self._size)
        return None

    def _dispatch(self) -> str:
        data, self._data, self._size = b"\n".join(self._data), [], 0
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise MalformedResponse(
                STEP, f"an event is not UTF-8: {error.reason}", "Look at the server's log"
            ) from None

    def _guard(self, size: int) -> None:
        if size > MAX_EVENT_BYTES:
            raise MalformedResponse(STEP, f"an event is larger than {MAX_EVENT_BYTES} bytes", "Is this an LLM server?")
