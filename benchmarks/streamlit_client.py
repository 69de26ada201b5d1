"""A session of a Streamlit app without a browser: its protocol, protobuf messages over one websocket, for load.

Knows only what is needed to open a page, to send a chat's question and to read text; written for Streamlit 1.67.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

ESCAPES = re.compile(r"\\([!-/:-@\[-`{-~])|\u2060")


class Session:
    """One person's open page.

    Attributes:
        page: the elements shown, by where they stand.
        runs: script runs that ended.
    """

    def __init__(self, url: str, http: Any) -> None:
        self.url, self.http = url, http
        self.page: dict[tuple[int, ...], Any] = {}
        self.script, self.query, self.runs = "", "", 0
        self._drawn = set[tuple[int, ...]]()

    async def __aenter__(self) -> Session:
        address = f"{self.url.replace('http', 'ws', 1)}/_stcore/stream"
        self.socket = await self.http.ws_connect(address, protocols=("streamlit",), max_msg_size=0)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.socket.close()

    async def rerun(self, question: str = "") -> None:
        """Have the page run, with a question put into its chat input if there is one."""
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash = self.query, self.script
        if question:
            state = asked.widget_states.widgets.add()
            state.id = self.chat_input()
            state.chat_input_value.data = question
        await self.socket.send_bytes(message.SerializeToString())

    def chat_input(self) -> str:
        """The id of the chat input that may be written to; empty when there is none."""
        found = (each.chat_input for each in self.page.values() if each.WhichOneof("type") == "chat_input")
        return next((each.id for each in found if not each.disabled), "")

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Read messages until what is waited for is there. Raises TimeoutError, ConnectionError."""
        async with asyncio.timeout(seconds):
            while not done():
                message = await self.socket.receive()
                if not isinstance(message.data, bytes):
                    raise ConnectionError(f"the app closed the session: {message}")
                self._take(message.data)

    def text(self) -> str:
        """All Markdown that is shown, as read by a person."""
        bodies = (each.markdown.body for each in self.page.values() if each.WhichOneof("type") == "markdown")
        return ESCAPES.sub(r"\1", "\n".join(bodies))

    def errors(self) -> list[str]:
        """What the page says went wrong."""
        kinds = ((each.WhichOneof("type"), each) for each in self.page.values())
        return [
            each.alert.body if kind == "alert" else each.exception.message
            for kind, each in kinds
            if kind == "exception" or (kind == "alert" and each.alert.format == each.alert.ERROR)
        ]

    def _take(self, data: bytes) -> None:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if kind == "delta":
            self._draw(tuple(message.metadata.delta_path), message.delta)
        elif kind == "new_session":
            self.script = message.new_session.page_script_hash
            self._drawn = set()
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            self.runs += 1
            # What this run did not draw is gone.
            self.page = {place: each for place, each in self.page.items() if place in self._drawn}

    def _draw(self, place: tuple[int, ...], delta: Any) -> None:
        """A new element takes its place; a new block empties it, with all that stood within."""
        self._drawn.add(place)
        if delta.WhichOneof("type") == "new_element":
            self.page[place] = delta.new_element
        else:
            within = [each for each in self.page if each[: len(place)] == place]
            for each in within:
                del self.page[each]
