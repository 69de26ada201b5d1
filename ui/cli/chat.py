"""`hearth chat`: talk with a knowledge base. Ctrl-C stops the answer and not the chat; a pipe works as well."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, closing, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any, cast

from decoder.errors import HearthError
from ui.cli import chat_commands, wiring
from ui.cli.errors import exit_code, one_line
from ui.cli.lines import at_a_terminal, line_editing, read_line
from ui.cli.main import new_app
from ui.cli.options import BaseUrl, Debug, Docs, Embedded, Json, KnowledgeBaseName, Model
from ui.cli.output import as_data, print_json, print_sources, print_text, remark
from ui.cli.session import Session, Turn
from ui.text_cleaning import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Generator

    from rag.types import Answer

app = new_app()


@app.command()
def chat(
    docs: Docs = None,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Talk with a knowledge base.

    Ctrl-C stops an answer, Ctrl-D leaves, /help lists the chat's commands. Without a terminal, standard input holds a
    question a line; the exit code is then that of the last question that went wrong. With --json, each answer is one
    line of JSON.
    """
    decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    base = wiring.prepare(kb, docs, decoder)
    with closing(Session(base, wiring.name_for(docs) if docs else kb, decoder)) as session:
        if at_a_terminal() and not json:
            greet(session)
        if decoder is None:
            remark("No decoder is set, so answers are quoted from the documents (/model sets one).")
        with line_editing([f"/{name}" for name in chat_commands.COMMANDS]):
            return talk(session, json)


def greet(session: Session) -> None:
    """Say whom one is talking with."""
    print_text(f"Talking with the knowledge base {session.kb}. /help lists the commands, Ctrl-D leaves.", style="dim")
    if session.kb not in wiring.knowledge_bases():
        remark(f"It is empty so far: hearth index PATHS{'' if session.kb == wiring.DEFAULT else f' --kb {session.kb}'}")


def talk(session: Session, json: bool) -> int:
    """Read lines and answer them until the input ends. Returns the exit code."""
    worst = 0
    while True:
        try:
            line = read_line()
            if line is None:
                break
            if line.strip():
                handle(session, line.strip(), json)
        except KeyboardInterrupt:
            if not at_a_terminal():
                raise
            remark("\n(stopped; Ctrl-D leaves)")
        except chat_commands.Leave:
            break
        except HearthError as error:
            worst = exit_code(error)
            show_error(error, json)
    return 0 if at_a_terminal() else worst


def handle(session: Session, line: str, json: bool) -> None:
    """One line: a slash command, or a question."""
    if line.startswith("/"):
        # What a command prints is for people: with --json it must not get among the answers.
        quiet: AbstractContextManager[Any] = redirect_stdout(sys.stderr) if json else nullcontext()
        with quiet:
            chat_commands.run(session, line)
        return
    answer = put_question(session, line, json)
    model = session.decoder.model if session.decoder is not None and answer.generated else ""
    session.turns.append(Turn(session.kb, line, answer, model))
    if json:
        print_json({"question": line, **as_data(answer)})
    elif answer.citations:
        print()
        print_sources(answer.citations)
    if not json:
        print(flush=True)


def put_question(session: Session, question: str, json: bool) -> Answer:
    """Stream the answer to the terminal, and return it checked. Leaving early stops the decoder."""
    from rag.types import AnswerDelta

    if not json and not at_a_terminal():
        print(f"> {clean_line(question)}")
    shown = ""
    try:
        stream = cast("Generator[AnswerDelta | Answer, None, None]", session.base.stream(question, session.history))
        with closing(stream) as events:
            for event in events:
                if not isinstance(event, AnswerDelta):
                    return event if json else finish(shown, event)
                shown += event.text
                if not json:
                    print(clean(event.text), end="", flush=True)
    except (HearthError, KeyboardInterrupt):
        if shown and not json:
            print()
        raise
    raise AssertionError("a stream of an answer ended without the answer and without an error")


def finish(shown: str, answer: Answer) -> Answer:
    """End the streamed text; where checking the citations changed it, the checked answer is shown too."""
    if shown:
        print()
    if shown.split() != answer.text.split():
        if shown.strip():
            print_text("After checking against the documents:", style="dim")
        print_text(answer.text)
    return answer


def show_error(error: HearthError, json: bool) -> None:
    """One line on standard error; with `--json` an object among the answers too."""
    from ui.cli import errors

    if json:
        print_json({"error": errors.as_data(error)})
    remark(one_line(error))
