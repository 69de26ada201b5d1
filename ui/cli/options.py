"""The options that commands share, and what `main` has to know of them after a command has failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(slots=True)
class Run:
    """One run of `hearth`: how errors are to be shown. `main` makes it, option callbacks fill it in."""

    json: bool = False
    debug: bool = False


def _note_json(context: typer.Context, value: bool) -> bool:
    if isinstance(context.obj, Run):
        context.obj.json = context.obj.json or value
    return value


def _note_debug(context: typer.Context, value: bool) -> bool:
    if isinstance(context.obj, Run):
        context.obj.debug = context.obj.debug or value
    return value


Json = Annotated[
    bool, typer.Option("--json", callback=_note_json, help="Print JSON on standard output, and nothing else there.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_note_debug, help="Show the traceback of an error.")]
KnowledgeBaseName = Annotated[str, typer.Option("--kb", metavar="NAME", help="The knowledge base to use.")]
Docs = Annotated[
    Path | None,
    typer.Option(
        "--docs", metavar="PATH", help="Index this file or folder first, and use the knowledge base it makes."
    ),
]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="The model's name at the decoder's server.")]
BaseUrl = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="The decoder: any OpenAI-compatible server, with its /v1.")
]
Embedded = Annotated[
    Path | None,
    typer.Option(
        "--embedded",
        metavar="FOLDER",
        help="The decoder: a small model in this folder, or hearth-tiny, run in process.",
    ),
]
