"""`hearth serve`: run a model with vLLM, look at it, stop it."""

from __future__ import annotations

import typer

from ui.cli.main import new_app
from ui.cli.options import Debug, Json

app = new_app()


@app.command()
def serve(json: Json = False, debug: Debug = False) -> None:
    """Run a model with vLLM, look at it, stop it."""
    raise typer.Exit(1)
