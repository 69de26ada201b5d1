"""A dry run of `hearth align`, printed; and its token mask as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import RecipeError
from ui.cli.output import print_text, remark
from ui.text_cleaning import clean

if TYPE_CHECKING:
    from alignment.dry_run_report import DryRun

WIDTH = 12


def show_dry_run(found: DryRun) -> None:
    """The facts, then the masks of the first rows, live tokens in brackets."""
    for name, value in found.facts():
        print_text(f"{name:<{WIDTH}}{value}")
    if found.preview:
        _show_masks(found)


def write_page(found: DryRun, file: Path) -> None:
    """The masks as HTML. Raises RecipeError when the file cannot be written."""
    from alignment.preview import to_html

    page = to_html(found.preview, f"What {found.stage} trains: {found.name}", found.live)
    try:
        file.expanduser().write_text(page, encoding="utf-8")
    except OSError as error:
        raise RecipeError("writing the preview", f"{file}: {error.strerror}", "Give another file") from error
    remark(f"the token mask is in {file}")


def _show_masks(found: DryRun) -> None:
    from rich.console import Console
    from rich.text import Text

    from alignment.preview import legend, to_text

    console = Console(markup=False, highlight=False, emoji=False)
    print_text(f"\n{legend(found.live)}", style="bold")
    for row in found.preview:
        console.print(Text(f"\n{clean(row.name)}" if row.name else "", style="italic"), soft_wrap=True)
        console.print(to_text(row), soft_wrap=True)
