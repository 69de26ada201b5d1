"""`hearth api`: serve knowledge bases and the decoder to whatever speaks OpenAI's protocol."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from decoder.errors import MissingExtra, UsageError
from ui.cli import wiring
from ui.cli.main import new_app
from ui.cli.options import BaseUrl, Debug, Embedded, Json, Model
from ui.cli.output import print_json, print_text, remark, spinner

app = new_app()


@app.command()
def api(
    host: Annotated[str, typer.Option(help="Where to listen; without keys, on this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Where to listen; 0 takes a free port.")] = 8600,
    kb: Annotated[
        list[str] | None, typer.Option("--kb", metavar="NAME", help="A knowledge base to serve; all if none is given.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Lines `key = tenant principal ...`; HEARTH_API_KEYS if not given."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="A web page's origin that may ask; none by default.")
    ] = None,
    rate: Annotated[float, typer.Option(metavar="N", help="Requests a minute for each key.", min=0.1)] = 120,
    concurrent: Annotated[int, typer.Option(metavar="N", help="Requests in the making at one time.", min=1)] = 32,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="For one answer.", min=1)] = 300,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Serve knowledge bases and the decoder to whatever speaks OpenAI's protocol.

    Models are kb:NAME, decoder (where there is one) and embedder. Answers carry their sources in the text, as
    annotations, and in the field `hearth`. It runs until Ctrl-C.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("serving the API", str(error.name), "api") from error
    from ui.api.app import create_app
    from ui.api.gate import ApiLimits
    from ui.api.keys import read_keys
    from ui.api.models import Models
    from ui.api.server import check_exposure, run

    origins = tuple(cors_origin or ())
    found = read_keys(keys)
    check_exposure(host, found, origins)
    _check_names(kb or [])
    decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    with decoder or nullcontext():
        models = Models(tuple(kb or ()), decoder)
        limits = ApiLimits(rate=rate, concurrent=concurrent, seconds=timeout)
        with spinner("loading the embedding model"):
            models.warm()
        _log_to_stderr()
        run(create_app(models, found, limits, origins), host, port, lambda url: _announce(url, models.ids(), json))
    return 0


def _check_names(names: list[str]) -> None:
    there = wiring.knowledge_bases()
    for name in names:
        if name not in there:
            known = f"There are: {', '.join(there)}" if there else "Make one with `hearth index`"
            raise UsageError("serving the API", f"there is no knowledge base {name}", known)


def _announce(url: str, ids: tuple[str, ...], json: bool) -> None:
    if json:
        print_json({"base_url": url, "models": ids})
    else:
        print_text(f"{url} serves {', '.join(ids)}")
        remark("Stop it with Ctrl-C.")


def _log_to_stderr() -> None:
    """One line for each request: key's hash, method, path, status, time. Never a key, never what was said."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("hearth.api")
    log.setLevel(logging.INFO)
    log.handlers[:] = [handler]
    log.propagate = False
