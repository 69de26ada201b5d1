"""`hearth ask`: one question, one answer with its sources, and an exit code that tells whether there was one."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from ui.cli import wiring
from ui.cli.errors import REFUSED
from ui.cli.main import new_app
from ui.cli.options import BaseUrl, Debug, Docs, Embedded, Json, KnowledgeBaseName, Model
from ui.cli.output import as_data, print_answer, print_json
from ui.cli.session import Session

app = new_app()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    docs: Docs = None,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Answer one question from the documents, with citations.

    Without a decoder the answer is quoted from the documents. The exit code is 3 when they do not hold it.
    """
    decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    with closing(Session(wiring.prepare(kb, docs, decoder), kb, decoder)) as session:
        answer = session.base.ask(question)
    if json:
        print_json({"question": question, **as_data(answer)})
    else:
        print_answer(answer)
    return REFUSED if answer.refused else 0
