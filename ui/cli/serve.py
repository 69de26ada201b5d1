"""`hearth serve`: run a model with vLLM, look at it, stop it."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import HearthError, UsageError
from ui.cli.errors import one_line
from ui.cli.main import new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark, spinner
from ui.text_cleaning import clean_line

if TYPE_CHECKING:
    from decoder.server import Progress, RunningServer, ServeOptions, ServerStatus

app = new_app()


def option(help_text: str, metavar: str | None = None) -> Any:
    """An option whose name is its parameter's; `test_cli.py` holds them against `ServeOptions`."""
    return typer.Option(help=help_text, metavar=metavar, show_default=True)


@app.command()
def serve(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="A model's folder or hub name, or hearth-tiny; with --status or --stop a server's name."),
    ] = "",
    extra: Annotated[
        list[str] | None, typer.Argument(help="After --: further arguments for vLLM, as they are.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the servers, or this one.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop this server, or the only one.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running, and return when it is healthy.")] = False,
    name: Annotated[str, option("What server and model are called; the model's last path part if not given.")] = "",
    host: Annotated[str, option("Where to listen.")] = "127.0.0.1",
    port: Annotated[int, option("Where to listen; 0 takes a free port.", "N")] = 0,
    expose: Annotated[bool, typer.Option("--expose", help="Allow a host that other machines can reach.")] = False,
    random_key: Annotated[bool, typer.Option("--random-key", help="Ask for an API key, made up now.")] = False,
    max_model_len: Annotated[int | None, option("Most tokens of prompt and answer together.", "N")] = None,
    dtype: Annotated[str, option("Number format of weights and activations, such as bfloat16.")] = "auto",
    quantization: Annotated[str | None, option("How the weights are quantised, such as awq.")] = None,
    load_format: Annotated[str, option("How the weights are stored; pickled ones are refused.")] = "safetensors",
    gpu_memory_utilization: Annotated[float | None, option("Share of each GPU's memory, up to 1.", "SHARE")] = None,
    kv_cache_gib: Annotated[int, option("Memory of the key-value cache on a CPU, GiB.", "N")] = 4,
    enforce_eager: Annotated[
        bool, typer.Option("--enforce-eager", help="Start sooner, run slower: no compiling.")
    ] = False,
    tensor_parallel_size: Annotated[int, option("GPUs that share each layer.", "N")] = 1,
    pipeline_parallel_size: Annotated[int, option("Groups of GPUs that take layers in turn.", "N")] = 1,
    data_parallel_size: Annotated[int, option("Copies of the model.", "N")] = 1,
    distributed_executor_backend: Annotated[str | None, option("mp on one machine, ray on several.")] = None,
    lora: Annotated[bool, typer.Option("--lora", help="Let adapters be loaded while it runs.")] = False,
    max_loras: Annotated[int, option("Adapters in one batch.", "N")] = 4,
    max_lora_rank: Annotated[int, option("Highest rank of an adapter.", "N")] = 16,
    tool_call_parser: Annotated[str | None, option("vLLM's parser of the model's tool calls.")] = None,
    reasoning_parser: Annotated[str | None, option("vLLM's parser of the model's reasoning.")] = None,
    chat_template: Annotated[str | None, option("A file with the chat template.", "FILE")] = None,
    start_timeout: Annotated[float | None, option("Seconds until it must be healthy.", "SECONDS")] = None,
    max_restarts: Annotated[int, option("How often in a row it is started again when it dies.", "N")] = 5,
    probe: Annotated[bool, typer.Option(help="Check that constraints are enforced.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Run a model with vLLM, look at it, stop it.

    It runs until Ctrl-C, or with --detach until it is stopped. `ask` and `chat` find it by themselves. With --status
    and a name the exit code is 0 only when that server is healthy.
    """
    if [status, stop, detach].count(True) > 1:
        raise UsageError("serving", "--status, --stop and --detach do not go together", "Give one of them")
    if status:
        return show_status(model, json)
    if stop:
        return stop_server(model, json)
    if not model:
        raise UsageError("serving", "no model was given", "Give a folder or a hub name, or --status")
    return run(model, options_from(context.params), detach, json)


def options_from(parameters: dict[str, Any]) -> ServeOptions:
    """The command's parameters that are fields of `ServeOptions`. Raises UsageError for impossible ones."""
    from decoder.server import ServeOptions

    known = {field.name for field in dataclasses.fields(ServeOptions)}
    chosen = {name: value for name, value in parameters.items() if name in known}
    return ServeOptions(**{**chosen, "extra": tuple(chosen.get("extra") or ())})


def run(model: str, options: ServeOptions, detach: bool, json: bool) -> int:
    """Start a server and say where it is; stay until it ends unless it is detached."""
    from decoder import server

    with spinner("starting vLLM") as show:
        running = server.serve(model, options, lambda event: show(describe(event)), detach=detach)
    # Ctrl-C may come while the address is printed: the server is ours to stop from here on.
    with nullcontext() if detach else running:
        load_promoted(running)
        _announce(running, detach, json)
        if not detach:
            running.wait(lambda event: remark(describe(event)))
    return 0


def load_promoted(running: RunningServer) -> None:
    """What was promoted in the model's place answers again: a server that is stopped forgets its adapters."""
    from decoder import alias

    target = alias.targets().get(running.model)
    if target is None or not target.model:
        return
    from alignment.registry_serving import load

    try:
        load(target.model, running)
        remark(f"{target.model}, which is promoted in its place, is loaded.")
    except HearthError as error:
        remark(one_line(error))
        remark(f"{target.model} is promoted in its place and not loaded, so that requests which name no model fail.")


def _announce(running: RunningServer, detach: bool, json: bool) -> None:
    if json:
        facts = {"name": running.name, "base_url": running.base_url, "log": running.log, "detached": detach}
        print_json(facts)
    else:
        print_text(f"{running.name} is served at {running.base_url} (log: {running.log})")
        stopping = f"`hearth serve {running.name} --stop`" if detach else "Ctrl-C"
        remark(f"Stop it with {stopping}. `hearth chat` uses it from now on.")


def describe(event: Progress) -> str:
    """Where a start has got to, on one line."""
    return clean_line(f"{event.phase}, {event.seconds:.0f} s  {event.line}")


def show_status(name: str, json: bool) -> int:
    """The servers that something is known of, or the one named."""
    from decoder import server

    found = [server.status(name)] if name else server.servers()
    if json:
        print_json({"servers": found})
    elif found:
        print_table(("name", "condition", "address", "up", "models"), [_row(entry) for entry in found])
        for entry in found:
            if entry.error:
                remark(f"{entry.name}: {entry.error} (log: {entry.log})")
    else:
        remark("No server is known. Start one: hearth serve MODEL")
    return int(bool(name) and found[0].condition != "healthy")


def _row(entry: ServerStatus) -> tuple[str, ...]:
    return entry.name, entry.condition, entry.base_url, f"{entry.uptime:.0f} s", ", ".join(entry.models)


def stop_server(name: str, json: bool) -> int:
    """Stop the server named, or the only one."""
    from decoder import server

    chosen = name or server.attach().name
    server.stop(chosen)
    if json:
        print_json({"stopped": chosen})
    else:
        print_text(f"{chosen} is stopped.")
    return 0
