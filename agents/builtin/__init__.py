"""Tools that come with Hearth: knowledge base, calculator, clock, web, files, notes, Python. Each function makes one.

Agent(decoder, [calculator(), clock("Europe/Berlin"), knowledge_search(kb), read_files("notes"), python_tool()])
"""

from __future__ import annotations

from agents.builtin.calculator import calculator
from agents.builtin.clock import clock
from agents.builtin.files import read_files
from agents.builtin.knowledge import knowledge_ask, knowledge_search
from agents.builtin.notes import write_note
from agents.builtin.python import python_tool
from agents.builtin.web import web_fetch

__all__ = [
    "calculator",
    "clock",
    "knowledge_ask",
    "knowledge_search",
    "python_tool",
    "read_files",
    "web_fetch",
    "write_note",
]
