"""`hearth doctor`: is everything in order? One row a check, each with what to do about it."""

from __future__ import annotations

from ui.cli import checks
from ui.cli.checks import Row
from ui.cli.main import new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_text
from ui.text_cleaning import clean_line

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}

app = new_app()


@app.command()
def doctor(json: Json = False, debug: Debug = False) -> int:
    """Check that everything Hearth needs is in order.

    Each row is ok, warn (it works, with a drawback) or fail, with the remedy. The exit code is 1 when a row fails.
    """
    rows = checks.examine()
    if json:
        print_json({"ok": all(row.state != "fail" for row in rows), "rows": rows})
    else:
        for row in rows:
            show(row)
    return 1 if any(row.state == "fail" for row in rows) else 0


def show(row: Row) -> None:
    """One row, and its remedy below it."""
    from rich.console import Console
    from rich.text import Text

    line = Text(f"{row.state:<5}", style=STYLES[row.state])
    line.append(f"{row.name:<16}", style="bold").append(clean_line(row.detail), style="default")
    Console(highlight=False, markup=False, emoji=False).print(line, soft_wrap=True)
    if row.remedy:
        print_text(clean_line(row.remedy), style="dim", indent=21)
