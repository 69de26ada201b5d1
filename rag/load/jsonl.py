"""JSON Lines: each record a block of lines "path: value"."""

from __future__ import annotations

from rag.errors import DamagedDocument
from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.json import block_of, read
from rag.load.text import decode


def parse(data: bytes) -> Parsed:
    """The records in order, a blank line between them; blank lines of the file stay out.

    Raises:
        DamagedDocument: a line is no JSON, named by its number, or nested too deeply.
        DocumentLimit: the paths and values would be too long.
    """
    budget = Budget()
    blocks = []
    for number, line in enumerate(decode(data).lstrip("\ufeff").split("\n"), 1):
        if line.strip():
            blocks.append(block_of(_record(line, number), "", budget))
    return Parsed(("\n\n".join(block for block in blocks if block) + "\n",))


def _record(line: str, number: int) -> object:
    try:
        return read(line)
    except DamagedDocument as error:
        cause = error.cause.replace("line 1 is", f"line {number} is").replace("it is", f"line {number} is")
        raise DamagedDocument("loading", cause, error.remedy) from error
