"""Each stage as a plain script: `python -m alignment.sft --config recipe.yaml`, alone or under `accelerate launch`.

accelerate launch --config_file alignment/accelerate/fsdp.yaml -m alignment.sft --config mine.yaml --set seed=1

It ends as `hearth` does: one line on standard error, 2 for what the reader can mend, 1 for what is ours or the
machine's, a traceback only with --debug. Of several processes the first alone speaks.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from decoder.errors import HearthError, RecipeError

if TYPE_CHECKING:
    from alignment.sections import Recipe

INTERRUPTED = 130


def main(stage: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a stage as its own command and leave the process."""
    given = parser(stage).parse_args(arguments)
    try:
        _do(stage, given)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # the one place where every error becomes a line
        if given.debug:
            traceback.print_exception(error, file=sys.stderr)
        if speaks():
            print(f"{stage}: {_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, HearthError) else 1)
    sys.exit(0)


def parser(stage: str) -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog=f"python -m alignment.{stage}", description=__doc__.splitlines()[0])
    made.add_argument("--config", required=True, help="a recipe's file, or the name of one that ships")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set a key; may be repeated")
    made.add_argument("--resume", action="store_true", help="go on from the last whole checkpoint")
    made.add_argument(
        "--dry-run", action="store_true", help="load data and tokenizer only, and show what would be done"
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return made


def speaks() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _do(stage: str, given: argparse.Namespace) -> None:
    recipe = _recipe(stage, given)
    if given.dry_run:
        from alignment.dry_run import dry_run

        if speaks():
            found = dry_run(recipe)
            print(found)
            if found.refusal is not None:
                raise found.refusal
        return
    from alignment.stages import train

    folder = train(recipe, resume=given.resume)
    if speaks():
        print(f"{stage}: {folder.state.get('status', 'done')}; the result is in {folder.model}")


def _recipe(stage: str, given: argparse.Namespace) -> Recipe:
    from alignment.recipe import load_recipe

    recipe = load_recipe(given.config, given.set)
    if recipe.stage != stage:
        remedy = f"Run python -m alignment.{recipe.stage}"
        raise RecipeError("reading the recipe", f"{given.config} is a recipe of the stage {recipe.stage}", remedy)
    return recipe


def _line(error: Exception) -> str:
    from alignment.preview import visible  # an error may quote what others wrote

    said = visible(" ".join(str(error).split()))
    if isinstance(error, HearthError):
        return said
    said = said[:500]
    return f"a bug in Hearth: {type(error).__name__}: {said}. Run it again with --debug and report what it prints"
