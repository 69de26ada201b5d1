"""`hearth models evaluate` and `hearth models promote`: a candidate held against what answers now."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, progress_bar, remark

if TYPE_CHECKING:
    from alignment.evaluate import Suite
    from alignment.evaluate_rules import GateResult, GateRules
    from decoder.base import Decoder
    from decoder.server import RunningServer

STEP = "reading the command line"


def known(given: str) -> str:
    """The id of what was named on the command line. Raises RegistryError."""
    from alignment.registry_names import find_id

    return find_id(given)


Id = Annotated[
    str,
    typer.Argument(help="An artefact: its id, or a recipe's name for the newest.", show_default=False, callback=known),
]
Server = Annotated[str, typer.Option("--server", metavar="NAME", help="Which `hearth serve`; the only one by default.")]
File = Path | None
Prompts = Annotated[File, typer.Option(metavar="FILE", help='Prompts to compare answers on: {"prompt": "…"} a line.')]
Tasks = Annotated[File, typer.Option(metavar="FILE", help="Questions with answers, as for `hearth prompt eval`.")]
TaskPrompt = Annotated[str, typer.Option(metavar="NAME", help="The prompt that tasks are put by.")]
Answer = Annotated[str, typer.Option(metavar="KIND", help="How tasks' answers are read, as for `hearth prompt eval`.")]
HeldOut = Annotated[File, typer.Option(metavar="FILE", help='Text to measure the loss on: {"text": "…"} a line.')]
Requests = Annotated[
    File, typer.Option(metavar="FILE", help='{"prompt": "…", "harmful": true} a line, in place of the list that ships.')
]
JudgeModel = Annotated[str, typer.Option(metavar="NAME", help="The judge; the base model if not given.")]
JudgeUrl = Annotated[str, typer.Option(metavar="URL", help="The judge's server, with its /v1.")]
RewardModel = Annotated[str, typer.Option(metavar="ID", help="A registered reward model that scores answers too.")]
MinWinRate = Annotated[float, typer.Option(min=0, max=1, help="The win-rate's interval must lie above it.")]
Tolerance = Annotated[
    list[str] | None, typer.Option(metavar="FIGURE=X", help="How much worse a figure may be; may be repeated.")
]
MinQuestions = Annotated[int, typer.Option(metavar="N", min=1, help="Figures over fewer questions do not pass.")]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="Use the first N rows of each file; 0 means all.")]
MaxTokens = Annotated[int, typer.Option(metavar="N", min=1, help="Most tokens of an answer.")]
Concurrency = Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Questions under way at once.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of the resampling behind the intervals.")]
Out = Annotated[File, typer.Option(metavar="FOLDER", help="Where answers and report go; a later run goes on there.")]


@dataclass(frozen=True, slots=True)
class Options:
    """What the two commands have in common; see the options."""

    prompts: File
    tasks: File
    task_prompt: str
    answer: str
    held_out: File
    requests: File
    judge_model: str
    judge_url: str
    reward_model: str
    min_win_rate: float
    min_questions: int
    tolerance: tuple[str, ...]
    limit: int
    max_tokens: int
    concurrency: int
    seed: int
    out: File


def add_to(app: typer.Typer) -> None:
    """Put the commands into a group."""
    app.command()(evaluate)
    app.command()(promote)


def evaluate(
    model: Id,
    baseline: Annotated[str, typer.Option(metavar="ID", help="What answers now if not given; or `base`.")] = "",
    prompts: Prompts = None,
    tasks: Tasks = None,
    task_prompt: TaskPrompt = "zero-shot",
    answer: Answer = "text",
    held_out: HeldOut = None,
    requests: Requests = None,
    judge_model: JudgeModel = "",
    judge_url: JudgeUrl = "",
    reward_model: RewardModel = "",
    min_win_rate: MinWinRate = 0.5,
    min_questions: MinQuestions = 10,
    tolerance: Tolerance = None,
    limit: Limit = 0,
    max_tokens: MaxTokens = 256,
    concurrency: Concurrency = 8,
    seed: Seed = 0,
    out: Out = None,
    server: Server = "",
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Measure an adapter against another one or its base model, on the running vLLM. Exit code 1 when it does not pass.

    Refusals are always measured; win-rate needs --prompts, accuracy --tasks, loss --held-out.
    """
    from alignment.registry_serving import load
    from decoder import alias
    from decoder.server import attach

    options = Options(
        prompts, tasks, task_prompt, answer, held_out, requests, judge_model, judge_url, reward_model, min_win_rate,
        min_questions, tuple(tolerance or ()), limit, max_tokens, concurrency, seed, out,
    )  # fmt: skip
    running = attach(server)
    load(model, running)
    other = running.model if baseline == "base" else known(baseline) if baseline else alias.resolve(running.model)
    if other == model:
        raise UsageError(STEP, f"{model} is what answers now", "Give --baseline base, or another id")
    if other != running.model:
        load(other, running)
    result = gate(running, options)(model, other)
    _show(result, json)
    return int(not result.passed)


def promote(
    model: Id,
    force: Annotated[bool, typer.Option("--force", help="Do without the gate; the history says so.")] = False,
    prompts: Prompts = None,
    tasks: Tasks = None,
    task_prompt: TaskPrompt = "zero-shot",
    answer: Answer = "text",
    held_out: HeldOut = None,
    requests: Requests = None,
    judge_model: JudgeModel = "",
    judge_url: JudgeUrl = "",
    reward_model: RewardModel = "",
    min_win_rate: MinWinRate = 0.5,
    min_questions: MinQuestions = 10,
    tolerance: Tolerance = None,
    limit: Limit = 0,
    max_tokens: MaxTokens = 256,
    concurrency: Concurrency = 8,
    seed: Seed = 0,
    out: Out = None,
    server: Server = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let an adapter answer in its base model's place, if the gate lets it.

    The gate needs at least one of --prompts, --tasks and --held-out; refusals are measured besides. `hearth models
    rollback` takes it back.
    """
    from alignment.registry_serving import promote as switch
    from decoder.server import attach

    options = Options(
        prompts, tasks, task_prompt, answer, held_out, requests, judge_model, judge_url, reward_model, min_win_rate,
        min_questions, tuple(tolerance or ()), limit, max_tokens, concurrency, seed, out,
    )  # fmt: skip
    if not force and not (prompts or tasks or held_out):
        remedy = "Give --prompts, --tasks or --held-out; or --force"
        raise UsageError(STEP, "there is nothing to measure the model on", remedy)
    running = attach(server)
    found = switch(model, running, None if force else gate(running, options), force)
    if json:
        facts = {"base": found.base, "model": found.model, "before": found.before, "changed": found.changed}
        print_json({**facts, "forced": force, "gate": found.gate.plain() if found.gate else None})
    elif found.changed:
        print_text(f"{model} answers for {found.base} from now on; {found.before} is kept for a rollback")
    else:
        print_text(f"{model} answers for {found.base} already")


def gate(running: RunningServer, options: Options) -> Any:
    """The gate of these options: a function of two served models' names. Raises UsageError before anything is asked."""
    from alignment.evaluate_served import evaluations_folder, served_gate

    rules, suite = _rules(options), _suite(options)

    def ask(candidate: str, baseline: str) -> GateResult:
        folder = options.out or evaluations_folder(candidate, baseline)
        with progress_bar() as on_progress:
            asked = served_gate(running, suite, rules, folder, partial(_judge, running, options), on_progress)
            result = asked(candidate, baseline)
        remark(f"The report: {folder / 'report.html'}")
        return result

    return ask


def _rules(options: Options) -> GateRules:
    from alignment.evaluate_rules import TOLERANCES, GateRules

    tolerance = dict(TOLERANCES)
    for text in options.tolerance:
        name, _, value = text.partition("=")
        try:
            tolerance[name] = float(value) if name in tolerance else tolerance[name]
        except (KeyError, ValueError) as error:
            remedy = f"Write FIGURE=X, where FIGURE is one of {', '.join(TOLERANCES)}"
            raise UsageError(STEP, f"--tolerance {text!r} cannot be read", remedy) from error
    return GateRules(options.min_win_rate, tolerance, options.min_questions)


def _suite(options: Options) -> Suite:
    from alignment.evaluate import GREEDY, Suite
    from alignment.evaluate_answers import read_asks
    from alignment.evaluate_loss import read_texts
    from alignment.evaluate_refusals import read_requests

    suite = Suite(
        asks=read_asks(options.prompts, options.limit) if options.prompts else (),
        score=_score(options) if options.reward_model else None,
        texts=read_texts(options.held_out, options.limit) if options.held_out else (),
        requests=_some(read_requests(options.requests), options.limit),
        sampling=replace(GREEDY, max_tokens=options.max_tokens),
        concurrency=options.concurrency,
        seed=options.seed,
    )
    return _with_tasks(suite, options) if options.tasks else suite


def _some(requests: Any, limit: int) -> Any:
    """The first `limit` of each kind."""
    if not limit:
        return requests
    kinds = ([each for each in requests if each.harmful is harmful][:limit] for harmful in (True, False))
    return tuple(each for kind in kinds for each in kind)


def _with_tasks(suite: Suite, options: Options) -> Suite:
    from prompts.evaluate import Way
    from prompts.extract import extractor
    from prompts.folders import load
    from prompts.items import read_items

    assert options.tasks is not None  # noqa: S101  # asked for where there are some
    prompt, reader = load(options.task_prompt), extractor(options.answer)
    items = read_items(options.tasks, [prompt], reader, limit=options.limit or None).items
    return replace(suite, tasks=items, task_prompt=prompt, task_way=Way(reader, suite.sampling))


def _score(options: Options) -> Any:
    """A registered reward model's function."""
    from importlib import import_module

    from alignment.registry import verify

    artefact = verify(known(options.reward_model))
    if artefact.kind != "reward":
        raise UsageError(STEP, f"{artefact.id} is a {artefact.kind}, not a reward model", "See `hearth models list`")
    scoring: Any = import_module("alignment.scoring")
    return scoring.RewardModel.load(artefact.model).score


def _judge(running: RunningServer, options: Options, stack: ExitStack) -> Decoder:
    from alignment.evaluate_served import served_decoder
    from decoder.client import ServedDecoder

    if options.judge_url:
        return stack.enter_context(closing(ServedDecoder(options.judge_url, options.judge_model)))
    return served_decoder(stack, running, options.judge_model or running.model)


def _show(result: GateResult, json: bool) -> None:
    if json:
        print_json(result.plain())
        return
    heads = ("figure", result.candidate, result.baseline, "gain", "95% interval", "questions")
    rows = []
    for each in result.figures:
        gain = each.gain
        ends = f"{gain.low:+.3f} to {gain.high:+.3f}"
        means = f"{each.candidate.value:.3f}", f"{each.baseline.value:.3f}"
        rows.append((each.name, *means, f"{gain.value:+.3f}", ends, str(gain.count)))
    print_table(heads, rows)
    for reason in result.reasons:
        print_text(f"refused: {reason}")
    print_text("It passes." if result.passed else "It does not pass.")
