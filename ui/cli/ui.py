"""`hearth ui`: the whole house in a browser."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from decoder.errors import MissingExtra, UsageError
from decoder.settings import home
from ui.cli.main import new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, remark
from ui.loopback import is_loopback

APP = Path(__file__).resolve().parents[1] / "app.py"
STEP = "opening the browser's app"

app = new_app()


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Where to listen; [ui] host if not given.", show_default=False)] = "",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Where to listen; 0 takes a free port. [ui] port if not given.")
    ] = None,
    expose: Annotated[bool, typer.Option("--expose", help="Allow a host that other machines can reach.")] = False,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Open chat, knowledge, agents, prompts, alignment, pictures and health in a browser.

    It runs until Ctrl-C. Whoever reaches it may do all that it can, unless sign-in is set up: docs/ui.md.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtra(STEP, "streamlit", "ui")
    from ui.browser.settings import ui_settings

    settings = ui_settings()
    address = host or settings.host
    if not is_loopback(address) and not expose:
        remedy = "Add --expose, and set up sign-in first (docs/ui.md)"
        raise UsageError(STEP, f"{address} can be reached from other machines", remedy)
    taken = _free_port(address, settings.port if port is None else port)
    shown = f"[{address}]" if ":" in address else address
    url = f"http://{shown}:{taken}"
    if json:
        print_json({"url": url})
        sys.stdout.flush()
    else:
        remark(f"{url} (Ctrl-C stops it)")
    os.execv(sys.executable, command(address, taken, browser, settings.max_upload_mb))  # noqa: S606


def command(address: str, port: int, browser: bool, upload_mb: int) -> list[str]:
    """The command line of the app."""
    options = {
        "server.address": address,
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "server.maxUploadSize": upload_mb,
        "server.fileWatcherType": "none",
    }
    if (secrets := secrets_file()) is not None:
        options["secrets.files"] = str(secrets)
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *given]


def secrets_file() -> Path | None:
    """home()/secrets.toml, where sign-in is set up; None when there is none.

    Raises UsageError when others than its owner may read it.
    """
    file = home() / "secrets.toml"
    if not file.is_file():
        return None
    if file.stat().st_mode & 0o077:
        raise UsageError(STEP, f"{file} can be read by other users", f"Run: chmod 600 {file}")
    return file


def _free_port(address: str, port: int) -> int:
    """The port, or a free one for 0. Raises UsageError when it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise UsageError(STEP, f"{address}:{port} cannot be used: {error}", "Give another --port") from error
