"""`hearth prompt`: the prompts there are, what they say with given values, and what a decoder answers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli import prompt_eval, wiring
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import BaseUrl, Debug, Embedded, Json, Model
from ui.cli.output import as_data, print_json, print_table, print_text, remark
from ui.cli.prompt_values import Folders, Name, Set, SetFile, UseExample, Values, values_for
from ui.text_cleaning import clean

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message, Sampling
    from prompts.template import Prompt

app = new_app(help=COMMANDS["prompt"], no_args_is_help=True)
prompt_eval.add_to(app)

Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy; else as the prompt says.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of the answer.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Makes the decoder repeat itself where it can.")]


@app.command("list")
def list_prompts(folder: Folders = None, json: Json = False, debug: Debug = False) -> None:
    """List the prompts: the library's, and one's own, which take their place."""
    from prompts.errors import MalformedPrompt
    from prompts.folders import LIBRARY, library

    known = library(folder or ())
    rows: list[dict[str, str]] = []
    for name in known:
        place = known.path(name).parent
        row = {"name": name, "folder": "library" if place == LIBRARY else str(place)}
        try:
            prompt = known[name]
            rows.append({**row, "version": prompt.version, "purpose": prompt.purpose})
        except MalformedPrompt as error:
            rows.append({**row, "version": "", "purpose": "", "error": f"line {error.line}: {error.reason}"})
    if json:
        print_json({"prompts": rows})
        return
    shown = [(r["name"], r["version"], r["folder"], r.get("error", "") or r["purpose"]) for r in rows]
    print_table(("name", "version", "folder", "purpose"), shown)


@app.command()
def show(name: Name, folder: Folders = None, json: Json = False, debug: Debug = False) -> None:
    """Show what a prompt is for, its variables and its text."""
    from prompts.turns import as_sections

    prompt = _load(name, folder)
    if json:
        print_json(_facts(prompt))
        return
    print_text(f"{prompt.name} {prompt.version}", style="bold")
    print_text(prompt.purpose)
    print_text(f"file: {prompt.source}", style="dim")
    for variable in prompt.variables:
        default = "required" if variable.required else f"default {variable.default!r}"
        print_text(f"- {variable.name} ({variable.type}, {default}): {variable.description}", indent=2)
    print()
    print_text(as_sections(prompt.messages))


@app.command()
def render(
    name: Name,
    given: Set = None,
    file: SetFile = None,
    values: Values = None,
    example: UseExample = False,
    folder: Folders = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the conversation that a prompt makes of given values. No decoder is asked."""
    prompt = _load(name, folder)
    messages = prompt.render(**values_for(prompt, given or (), file or (), values, example))
    if json:
        print_json({**_head(prompt), "messages": _messages(messages)})
        return
    for message in messages:
        print_text(f"[{message.role}]", style="dim")
        print_text(message.text)


@app.command()
def run(
    name: Name,
    given: Set = None,
    file: SetFile = None,
    values: Values = None,
    example: UseExample = False,
    folder: Folders = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Put a prompt to the decoder and print its answer.

    Where the prompt has an output schema, the answer is JSON that satisfies it, or an error.
    """
    from decoder.types import Sampling
    from prompts.asking import ask

    prompt = _load(name, folder)
    known = values_for(prompt, given or (), file or (), values, example)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    decoder = wiring.find_decoder_or_tiny(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    if decoder is None:
        remedy = "Give --base-url or --embedded, or start one: hearth serve"
        raise UsageError("running a prompt", "there is no decoder", remedy)
    with closing(decoder):
        if prompt.schema is None and not json:
            _stream(decoder, prompt, known, sampling)
            return
        reply = ask(decoder, prompt, known, sampling)
    if not json:
        print_json(reply.value)
        return
    facts = {"text": reply.text, "value": reply.value, "reasoning": reply.reasoning, "repaired": reply.repaired}
    print_json({**_head(prompt), **facts, "truncated": reply.truncated, "usage": as_data(reply.usage)})


def _stream(decoder: Decoder, prompt: Prompt, values: dict[str, Any], sampling: Sampling) -> None:
    """The answer as it is written; leaving early stops the decoder."""
    from decoder.types import Finished, TextDelta
    from prompts.asking import merged

    messages = prompt.render(**values)
    for event in decoder.stream(messages, sampling=merged(prompt.sampling, sampling)):
        if isinstance(event, TextDelta) and event.index == 0:
            print(clean(event.text), end="", flush=True)
        elif isinstance(event, Finished):
            print()
            if event.completion.finish_reason == "length":
                remark("(cut off by max_tokens; --max-tokens raises it)")


def _load(name: str, folder: list[Path] | None) -> Prompt:
    from prompts.folders import load

    return load(name, folder or ())


def _head(prompt: Prompt) -> dict[str, str]:
    return {"prompt": prompt.name, "version": prompt.version}


def _messages(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def _facts(prompt: Prompt) -> dict[str, Any]:
    from prompts.variables import REQUIRED

    variables = [
        {key: value for key, value in as_data(variable).items() if value is not REQUIRED}
        for variable in prompt.variables
    ]
    kept = ("name", "version", "purpose", "source", "schema", "sampling", "messages")
    return {**{key: as_data(getattr(prompt, key)) for key in kept}, "variables": variables}
