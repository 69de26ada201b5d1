"""How `hearth` ends: one line on standard error with the remedy, and an exit code that scripts can tell apart."""

from __future__ import annotations

import sys
import traceback

from decoder.errors import HearthError
from ui.cli.options import Run
from ui.text_cleaning import clean_line

EXIT_CODES = {
    0: "It worked.",
    1: "Our fault, or a service's: a server that does not answer, a check of `hearth doctor` that failed, a bug.",
    2: "Yours to mend: an option, a file, a setting or a name that cannot be used as given.",
    3: "`hearth ask`: the answer is not in the documents.",
    130: "Stopped with Ctrl-C.",
}
REFUSED = 3
INTERRUPTED = 130


def exit_code(error: BaseException) -> int:
    """The exit code that an error stands for; one without a code of its own is a bug of ours, 1."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    code = getattr(error, "exit_code", 1)
    return code if isinstance(code, int) else 1


def one_line(error: BaseException) -> str:
    """What to tell the user: the error's own sentence, or for a bug its type and where to go from there."""
    if isinstance(error, HearthError):
        return clean_line(str(error))
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    message = getattr(error, "message", "")
    if message or hasattr(error, "format_message"):  # an option that Typer could not read, or that is missing
        return clean_line(f"reading the command line: {_usage_message(error, str(message))}")
    return clean_line(
        f"a bug in Hearth: {type(error).__name__}: {error}. Run it again with --debug and report what it prints"
    )


def _usage_message(error: BaseException, message: str) -> str:
    """Typer's message, which names the option, with the way to the help of that very command."""
    formatted = getattr(error, "format_message", lambda: message)()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "hearth"
    return f"{str(formatted).rstrip('.')}. See `{path} --help`"


def report(error: BaseException, run: Run) -> int:
    """Show an error and return the exit code. With `--json` the error also goes to standard output, as JSON."""
    if run.debug and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(error, file=sys.stderr)
    print(f"hearth: {one_line(error)}", file=sys.stderr)
    if run.json:
        from ui.cli.output import print_json

        print_json({"error": as_data(error)})
    return exit_code(error)


def as_data(error: BaseException) -> dict[str, object]:
    """An error for machines."""
    parts = {"step": error.step, "cause": error.cause, "remedy": error.remedy} if isinstance(error, HearthError) else {}
    return {"type": type(error).__name__, "message": one_line(error), "exit_code": exit_code(error), **parts}
