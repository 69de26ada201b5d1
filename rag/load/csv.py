"""CSV and TSV as one pipe table, the first row its header; the delimiter is found out."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from itertools import islice
from typing import Literal

from rag.errors import DocumentLimit
from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.tables import pipe_table
from rag.load.text import decode

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 100
SAMPLE = 1 << 16
_NAMED = re.compile(r"sep=([^\n\w])\n")
"""How Excel is told the delimiter, in a line of its own."""


def parse(data: bytes) -> Parsed:
    """All rows, ragged ones as long as they are; empty lines stay out.

    Raises:
        DamagedDocument: it is no text.
        DocumentLimit: a field, or the whole table, is longer than what is read.
    """
    text = decode(data).lstrip("\ufeff")
    named = _NAMED.match(text)
    text = text[named.end() :] if named else text
    delimiter = named.group(1) if named else delimiter_of(text[:SAMPLE])
    try:
        return Parsed((_table(text, delimiter, csv.QUOTE_MINIMAL),))
    except csv.Error:  # a quotation mark that never ends
        try:
            return Parsed((_table(text, delimiter, csv.QUOTE_NONE),))
        except csv.Error as error:
            raise DocumentLimit("loading", f"a field is too long ({error})", "Check its delimiter") from error


def _table(text: str, delimiter: str, quoting: Literal[0, 3]) -> str:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, skipinitialspace=True)
    table = pipe_table((row for row in rows if any(cell.strip() for cell in row)), Budget())
    return table + "\n" if table else ""


def delimiter_of(sample: str) -> str:
    """The delimiter that cuts the most rows into one same number of fields, more fields before fewer."""
    best, delimiter = (0.0, 0), DELIMITERS[0]
    for candidate in DELIMITERS:
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=candidate, skipinitialspace=True)
        try:
            counts = Counter(len(row) for row in islice(rows, SAMPLE_ROWS) if row)
        except csv.Error:
            continue
        fields = max(counts, key=lambda count: (count > 1, counts[count]), default=1)
        if fields > 1 and (score := (counts[fields] / counts.total(), fields)) > best:
            best, delimiter = score, candidate
    return delimiter
