"""Which decoder an example runs on: one that you name, else the one of your settings, else a script.

    python examples/ten_lines.py                                        # the settings' one, or the script
    python examples/ten_lines.py --base-url http://127.0.0.1:8000/v1    # any OpenAI-compatible server
    python examples/ten_lines.py --embedded models/small                # a small model in this folder, in process
    python examples/ten_lines.py --scripted                             # the script, whatever the settings say

In a program of your own, write `ServedDecoder("http://127.0.0.1:8000/v1")` in its place.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from decoder import Decoder, Message, ScriptedDecoder
from ui.cli.wiring import DecoderChoice, find_decoder

Script: TypeAlias = Sequence[str] | Callable[[tuple[Message, ...]], str]


def which_decoder(script: Script) -> Decoder:
    """The decoder to use; says so when it is the script. Close it when the work is done.

    Args:
        script: what a decoder would say: a thought, an action, a thought, an action, … in their order, or a function
            of the conversation.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", default="", help="an OpenAI-compatible server, with its /v1")
    parser.add_argument("--model", default="", help="the model's name there")
    parser.add_argument("--embedded", type=Path, help="a folder with a small model")
    parser.add_argument("--scripted", action="store_true", help="the script in the example's file")
    said = parser.parse_known_args()[0]
    found = None if said.scripted else find_decoder(DecoderChoice(said.base_url, said.model, said.embedded))
    if found is not None:
        return found
    print("(No decoder: what it would say is read from the script in this file.)")
    return ScriptedDecoder(script if callable(script) else lambda messages: script[turns(messages)])


def turns(messages: Sequence[Message]) -> int:
    """How often the decoder has spoken in a conversation; so a script goes on where a run was interrupted."""
    return sum(message.role == "assistant" for message in messages)


def call(tool: str, **arguments: Any) -> str:
    """An action, as a decoder writes it."""
    return json.dumps({"name": tool, "arguments": arguments})
