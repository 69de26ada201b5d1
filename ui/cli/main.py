"""The `hearth` command. Each command's module is imported when it is called, so that help and completion are quick.

The table below stands in for the modules when commands are only listed; a test holds it against them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ui.cli.errors import report
from ui.cli.options import Run

COMMANDS = {
    "chat": "Talk with a knowledge base.",
    "ask": "Answer one question from the documents, with citations.",
    "search": "Find passages in a knowledge base, best first.",
    "index": "Read files, folders and web pages into a knowledge base.",
    "kb": "List, show, check, mend and move knowledge bases.",
    "prompt": "List, show, run and measure prompts.",
    "align": "Teach a model: one recipe a stage, from pretraining to preferences.",
    "tiny": "Make the data of hearth-tiny, the small decoder trained from nothing, and measure one.",
    "generate": "Make pictures: train, sample, judge and compare models, or draw from a prompt.",
    "agent": "Give an agent a task and see each of its steps.",
    "mcp": "Serve knowledge bases, tools and an agent by the Model Context Protocol.",
    "ui": "Open chat, knowledge, agents, prompts, alignment, pictures and health in a browser.",
    "api": "Serve knowledge bases and the decoder to whatever speaks OpenAI's protocol.",
    "feedback": "Look at what people said of answers, and make it data to train on.",
    "models": "List, serve, measure, promote and roll back what was trained.",
    "serve": "Run a model with vLLM, look at it, stop it.",
    "doctor": "Check that everything Hearth needs is in order.",
}


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and summary, and imports `ui.cli.<name>` when one is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The real command in place of its stand-in."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if command is not None and name is not None else command, rest


def load(name: str) -> Any:
    """The command `name`, imported: the `app` of its module."""
    command = typer.main.get_command(importlib.import_module(f"ui.cli.{name}").app)
    command.name = name
    return command


def new_app(**settings: Any) -> typer.Typer:
    """A Typer application with the house's settings: plain help, and errors left to `main`."""
    settings = {"add_completion": False, **settings}
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


app = new_app(cls=LazyGroup, add_completion=True)


@app.callback(invoke_without_command=True)
def hearth(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show Hearth's version and leave.")] = False,
) -> None:
    """Hearth: a knowledge base, agents and a chat around one language model."""
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            typer.echo(f"hearth {installed('hearth')}")
        except PackageNotFoundError:
            typer.echo("hearth (run from its folder, not installed)")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hearth` with these arguments, by default the process's own. Returns the exit code, and never raises."""
    from ui.cli import rooms

    run = Run()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer in a script that the terminal's encoding lacks
    try:
        rooms.check()
        code = typer.main.get_command(app).main(
            list(sys.argv[1:] if arguments is None else arguments), prog_name="hearth", standalone_mode=False, obj=run
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # Whoever read our output has gone (`hearth search … | head`); there is nobody left to tell.
        sys.stdout = None
        return 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the one place where every error becomes a line
        return report(error, run)


if __name__ == "__main__":
    sys.exit(main())
