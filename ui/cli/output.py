"""What commands print: results on standard output, progress and remarks on standard error.

With `--json`, standard output carries JSON alone. Text from documents and models is cleaned before it is printed.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.text_cleaning import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.types import Answer, Citation, IndexReport

Table = Sequence[Sequence[str]]


def as_data(value: Any) -> Any:
    """`value` as what JSON can hold: dataclasses become objects, with the property `location` where they have one."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
        location = getattr(value, "location", None)
        return fields if location is None else {**fields, "location": location}
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_data(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def print_json(value: Any) -> None:
    """One JSON value on one line; ASCII, so that neither the terminal nor an encoding can get in its way."""
    print(json.dumps(as_data(value)), flush=True)


def remark(text: str) -> None:
    """A message beside the result: on standard error, cleaned."""
    print(clean(text), file=sys.stderr, flush=True)


def print_text(text: str, style: str = "", indent: int = 0) -> None:
    """Text that may be untrusted: cleaned, never read as markup, wrapped by the terminal and not by us."""
    from rich.padding import Padding
    from rich.text import Text

    body = Text(clean(text), style=style)
    console = _console()
    if indent and console.is_terminal:
        console.print(Padding(body, (0, 0, 0, indent)))
    else:
        console.print(Text(" " * indent) + body, soft_wrap=True)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns for people; in a pipe, one tab-separated line a row and no heads."""
    console = _console()
    cleaned = [[clean_line(cell) for cell in row] for row in rows]
    if not console.is_terminal:
        for row in cleaned:
            print("\t".join(row))
        return
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(*heads, box=None, pad_edge=False, header_style="dim")
    for row in cleaned:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def print_sources(citations: Sequence[Citation]) -> None:
    """The list under an answer: marker, place, and the words that support it."""
    print_text("Sources", style="bold")
    for citation in citations:
        print_text(f"[{citation.marker}] {clean_line(citation.location)}", style="cyan")
        print_text(f"“{clean_line(citation.quote)}”", style="dim", indent=4)


def print_answer(answer: Answer) -> None:
    """The answer and its sources."""
    print_text(answer.text)
    if answer.citations:
        print()
        print_sources(answer.citations)


def describe(report: IndexReport) -> str:
    """An indexing run in one line."""
    counts = {
        "added": report.added,
        "updated": report.updated,
        "removed": report.removed,
        "duplicates": report.duplicates,
    }
    parts = [f"{len(sources)} {word}" for word, sources in counts.items() if sources]
    parts += [f"{report.unchanged} unchanged"] if report.unchanged else []
    parts += [f"{len(report.failed)} failed"] if report.failed else []
    parts += [f"{report.unsupported} of other kinds left out"] if report.unsupported else []
    parts += [f"{report.ignored} ignored"] if report.ignored else []
    return f"{', '.join(parts) or 'nothing to read'} ({report.passages} passages, {report.seconds:.1f} s)"


def remark_failures(report: IndexReport) -> None:
    """Each document that could not be read, with the reason."""
    for source, reason in report.failed.items():
        remark(f"  {clean_line(reason if source in reason else f'{source}: {reason}')}")


@contextmanager
def progress_bar() -> Iterator[Callable[[Any], None]]:
    """A callback for `IndexProgress` events that draws a bar on standard error, when that is a terminal.

    The bar goes when the work is done; in a pipe or a log file nothing is drawn.
    """
    if not sys.stderr.isatty():
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(event: Any) -> None:
            if event.step == "searchable":
                bar.console.print(f"{event.done} documents can be found by their words; meaning follows", markup=False)
                return
            bar.update(task, description=clean_line(event.step), completed=event.done, total=event.total or None)

        yield show


@contextmanager
def spinner(what: str) -> Iterator[Callable[[str], None]]:
    """A callback for lines that replace each other on standard error; in a log file, one every 15 s at most."""
    if not sys.stderr.isatty():
        yield _now_and_then(15.0)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status(what) as status:
        yield lambda line: status.update(Text(clean_line(line)[: console.width - 3]))


def _now_and_then(seconds: float) -> Callable[[str], None]:
    import time

    last = -seconds

    def show(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            remark(line)

    return show


def _console() -> Any:
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)
